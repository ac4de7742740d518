package main

import (
	"html"
	"html/template"
	"regexp"
	"strings"
)

var (
	codeSpan = regexp.MustCompile("`([^`]+)`")
	boldSpan = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	blank    = regexp.MustCompile(`\n[ \t]*\n`)
)

// prose renders what the description uses of Markdown: paragraphs, lists with
// dashes, **bold** and `code`.
func prose(text string) template.HTML {
	var out strings.Builder
	for _, block := range blank.Split(strings.TrimSpace(text), -1) {
		if items := list(block); items != nil {
			out.WriteString("<ul>\n")
			for _, item := range items {
				out.WriteString("<li>" + string(inline(item)) + "</li>\n")
			}
			out.WriteString("</ul>\n")
		} else if block != "" {
			out.WriteString("<p>" + string(inline(block)) + "</p>\n")
		}
	}
	return template.HTML(out.String())
}

// list gives the items of a block of which each begins with a dash; nil where
// it is no list.
func list(block string) []string {
	if !strings.HasPrefix(block, "- ") {
		return nil
	}
	return strings.Split(strings.TrimPrefix(block, "- "), "\n- ")
}

// inline renders bold and code within one block. Code holds no bold, so it is
// set apart first.
func inline(text string) template.HTML {
	var out strings.Builder
	end := 0
	for _, m := range codeSpan.FindAllStringSubmatchIndex(text, -1) {
		out.WriteString(bold(text[end:m[0]]))
		out.WriteString("<code>" + html.EscapeString(text[m[2]:m[3]]) + "</code>")
		end = m[1]
	}
	out.WriteString(bold(text[end:]))
	return template.HTML(out.String())
}

func bold(text string) string {
	return boldSpan.ReplaceAllString(html.EscapeString(text), "<b>$1</b>")
}
