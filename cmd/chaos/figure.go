package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// figures are printed as they are measured, each in a line of its own, and
// kept in a directory under their names (cmd/eval does the same).
type figures struct {
	dir string
	err error // the first goal that was missed, or file that was not written
}

// goal tells whether a figure is what it should be; op is >= or <=.
func (f *figures) goal(name string, value float64, unit, op string, limit float64) {
	met := op == ">=" && value >= limit || op == "<=" && value <= limit
	f.line(name, fmt.Sprintf("%s %s goal %s %s %s", number(value), unit, op, number(limit), map[bool]string{true: "met", false: "missed"}[met]))
	if !met && f.err == nil {
		f.err = fmt.Errorf("%s is %s, the goal is %s %s", name, number(value), op, number(limit))
	}
}

// info is a figure without a goal.
func (f *figures) info(name string, value float64, unit string) {
	f.line(name, fmt.Sprintf("%s %s goal - - info", number(value), unit))
}

// skip tells why a figure was not measured.
func (f *figures) skip(name, unit, because string) {
	f.line(name, fmt.Sprintf("- %s goal - - skipped:%s", unit, because))
}

func (f *figures) line(name, rest string) {
	line := "figure " + name + " " + rest
	fmt.Println(line)
	err := os.MkdirAll(f.dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(f.dir, name), []byte(line+"\n"), 0o644)
	}
	if err != nil && f.err == nil {
		f.err = err
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
