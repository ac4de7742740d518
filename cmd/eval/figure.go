package main

import (
	"fmt"
	"math"
	"strconv"
)

// figure is one number that is measured, and what it should be.
type figure struct {
	name   string
	unit   string
	digits int     // after the point
	op     string  // ">=", "<=" or "<"; "" where there is no goal
	goal   float64 // in the unit

	value   float64
	status  status
	because string // it was skipped
}

type status int

const (
	pending status = iota
	measured
	skipped
)

func info(name, unit string, digits int) figure {
	return figure{name: name, unit: unit, digits: digits}
}

func goal(name, unit string, digits int, op string, value float64) figure {
	return figure{name: name, unit: unit, digits: digits, op: op, goal: value}
}

// rounded is the value as printed: what is read is what is judged.
func (f *figure) rounded() float64 {
	k := math.Pow(10, float64(f.digits))
	return math.Round(f.value*k)/k + 0 // never -0
}

func (f *figure) met() bool {
	switch v := f.rounded(); f.op {
	case ">=":
		return v >= f.goal
	case "<=":
		return v <= f.goal
	case "<":
		return v < f.goal
	}
	return true
}

// String is the figure's line.
func (f *figure) String() string {
	value, op, limit, outcome := "-", "-", "-", "info"
	if f.op != "" {
		op, limit = f.op, strconv.FormatFloat(f.goal, 'f', -1, 64)
	}
	switch {
	case f.status != measured:
		outcome = "skipped:" + f.because
	case f.op != "" && f.met():
		outcome = "met"
	case f.op != "":
		outcome = "missed"
	}
	if f.status == measured {
		value = strconv.FormatFloat(f.rounded(), 'f', f.digits, 64)
	}
	return fmt.Sprintf("figure %s %s %s goal %s %s %s", f.name, value, f.unit, op, limit, outcome)
}
