package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// table is for a human: on the terminal, and in Markdown.
type table struct {
	title string
	note  string // how it was measured, and what it does not say
	head  []string
	rows  [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// text aligns the first column to the left, the others to the right.
func (t *table) text() string {
	width := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", t.title)
	for i, row := range append([][]string{t.head}, t.rows...) {
		line := " "
		for j, c := range row {
			pad := strings.Repeat(" ", width[j]-utf8.RuneCountInString(c))
			if j == 0 {
				line += " " + c + pad
			} else {
				line += "  " + pad + c
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		if i == 0 {
			n := 2*len(width) - 1
			for _, w := range width {
				n += w
			}
			b.WriteString("  " + strings.Repeat("─", n-1) + "\n")
		}
	}
	if t.note != "" {
		b.WriteString("  " + strings.ReplaceAll(t.note, "\n", "\n  ") + "\n")
	}
	return b.String()
}

func (t *table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", t.title)
	row := func(cells []string) {
		b.WriteString("|")
		for _, c := range cells {
			b.WriteString(" " + strings.ReplaceAll(c, "|", `\|`) + " |")
		}
		b.WriteString("\n")
	}
	row(t.head)
	b.WriteString("|---|" + strings.Repeat("---:|", len(t.head)-1) + "\n")
	for _, r := range t.rows {
		row(r)
	}
	if t.note != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.ReplaceAll(t.note, "\n", " "))
	}
	return b.String()
}
