package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
)

//go:embed report.html
var layout string

//go:embed style.css
var style string

// Render writes the page of the leaves so far. The same leaves give the same
// bytes.
func (r *Report) Render(w io.Writer) error {
	t, err := template.New("report").Parse(layout)
	if err != nil {
		return err
	}
	p := r.page()
	p.Style = template.CSS(style)
	sum := sha256.Sum256([]byte(style))
	// Only this style, and nothing else: no script, no picture, no form.
	p.Policy = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
	return t.Execute(w, p)
}
