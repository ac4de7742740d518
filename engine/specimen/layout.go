package specimen

import (
	"image/color"
	"strings"
	"time"

	"gatehouse/engine/document/mrz"
)

// scale is the pixels in a millimetre: 305 dots per inch.
const scale = 12

// Measures of Doc 9303-3, section 4, in millimetres.
const (
	zoneHeight  = 23.2 // of the machine-readable zone
	pitch       = 2.54 // between characters
	lineSpacing = 6.35
)

// box is a rectangle in millimetres from the upper left corner.
type box struct{ x, y, width, height float64 }

// layout is where a format has what, in millimetres.
type layout struct {
	title         string
	width, height float64
	header        float64 // height of the coloured band at the top
	margin        float64
	portrait      box
	label, value  float64 // sizes of letters
	inks          [2]color.RGBA
	accent        color.RGBA
	compact       bool // four rows of fields where others have five
}

// Sizes are those of Doc 9303 parts 4 to 7. A real TD1 has its zone on the
// back; here one picture holds both sides' contents.
var layouts = map[mrz.Format]*layout{
	mrz.TD3: {
		title: "PASSPORT", width: 125, height: 88, header: 10, margin: 6,
		portrait: box{6, 14.5, 35, 45}, label: 2.1, value: 3.4, inks: roseAndBlue, accent: navy,
	},
	mrz.MRVA: {
		title: "VISA", width: 120, height: 80, header: 9, margin: 5,
		portrait: box{5, 12.2, 32, 41.2}, label: 2.1, value: 3.4, inks: sandAndViolet, accent: plum,
	},
	mrz.TD2: {
		title: "IDENTITY CARD", width: 105, height: 74, header: 8, margin: 5,
		portrait: box{5, 11, 28.8, 37}, label: 1.9, value: 3, inks: greenAndBlue, accent: forest,
	},
	mrz.MRVB: {
		title: "VISA", width: 105, height: 74, header: 8, margin: 5,
		portrait: box{5, 11, 28.8, 37}, label: 1.9, value: 3, inks: sandAndViolet, accent: plum,
	},
	mrz.TD1: {
		title: "IDENTITY CARD", width: 85.6, height: 54, header: 5.2, margin: 4,
		portrait: box{4, 6.2, 18.3, 23.5}, label: 1.5, value: 2.4, inks: greenAndBlue, accent: forest,
		compact: true,
	},
}

// cell is a field of the visual zone.
type cell struct{ label, value string }

// rows are the fields of the visual zone from the top; those in one row share
// its width evenly. An empty cell leaves room for the word SPECIMEN.
func (l *layout) rows(f mrz.Fields) [][]cell {
	number := cell{"Document No", f.Number}
	surname := cell{"Surname", strings.ToUpper(f.Surname)}
	given := cell{"Given names", strings.ToUpper(f.GivenNames)}
	nationality := cell{"Nationality", f.Nationality}
	sex := cell{"Sex", f.Sex}
	if f.Sex == "" {
		sex.value = "X" // Doc 9303-3: X in the visual zone is < in the other
	}
	birth := cell{"Date of birth", printedDate(f.Birth)}
	expiry := cell{"Date of expiry", printedDate(f.Expiry)}
	if l.compact {
		return [][]cell{{surname}, {given}, {number, nationality, sex}, {birth, expiry, {}}}
	}
	return [][]cell{{number, {}}, {surname}, {given}, {nationality, sex}, {birth, expiry}}
}

// printedDate writes DD MMM YYYY, or what is known of a date.
func printedDate(d mrz.Date) string {
	if t, err := time.Parse(time.DateOnly, d.ISO); err == nil {
		return strings.ToUpper(t.Format("02 Jan 2006"))
	}
	if d.ISO != "" {
		return d.ISO
	}
	return d.Raw
}

// Colours of the print.
var (
	black  = color.RGBA{22, 22, 24, 255}
	grey   = color.RGBA{92, 96, 108, 255}
	strip  = color.RGBA{250, 250, 247, 255}
	sheet  = color.RGBA{246, 245, 240, 255}
	marked = color.RGBA{222, 128, 128, 255} // the word SPECIMEN

	navy   = color.RGBA{42, 58, 104, 255}
	forest = color.RGBA{36, 88, 80, 255}
	plum   = color.RGBA{94, 54, 98, 255}

	roseAndBlue   = [2]color.RGBA{{222, 176, 184, 255}, {160, 186, 218, 255}}
	greenAndBlue  = [2]color.RGBA{{164, 204, 176, 255}, {160, 188, 216, 255}}
	sandAndViolet = [2]color.RGBA{{226, 200, 156, 255}, {190, 176, 216, 255}}
)
