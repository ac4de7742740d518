package specimen

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"

	"gatehouse/engine/document/mrz"
	"gatehouse/engine/picture"
)

// canvas is a document being drawn; its methods measure in millimetres.
type canvas struct {
	img                 *image.RGBA
	regular, bold, ocrb *sfnt.Font
	buf                 sfnt.Buffer
}

func newCanvas(width, height float64, ocrb []byte) (*canvas, error) {
	c := &canvas{img: image.NewRGBA(image.Rect(0, 0, pixels(width), pixels(height)))}
	for _, f := range []struct {
		name string
		data []byte
		font **sfnt.Font
	}{
		{"Go Regular", goregular.TTF, &c.regular},
		{"Go Bold", gobold.TTF, &c.bold},
		{"OCR-B", withoutFlex(ocrb), &c.ocrb},
	} {
		parsed, err := opentype.Parse(f.data)
		if err != nil {
			return nil, fmt.Errorf("font %s: %w", f.name, err)
		}
		*f.font = parsed
	}
	return c, nil
}

func pixels(mm float64) int { return int(math.Round(mm * scale)) }

// fill paints a rectangle.
func (c *canvas) fill(b box, ink color.RGBA) {
	draw.Draw(c.img, area(b), image.NewUniform(ink), image.Point{}, draw.Src)
}

func area(b box) image.Rectangle {
	return image.Rect(pixels(b.x), pixels(b.y), pixels(b.x+b.width), pixels(b.y+b.height))
}

// portrait covers the window with the middle of the picture.
func (c *canvas) portrait(window box, p *picture.Picture) {
	frame := box{window.x - 0.2, window.y - 0.2, window.width + 0.4, window.height + 0.4}
	c.fill(frame, grey)
	w, h := float64(p.Width), float64(p.Height)
	k := min(w/window.width, h/window.height)
	w, h = k*window.width, k*window.height
	x, y := int((float64(p.Width)-w)/2), int((float64(p.Height)-h)/2)
	middle := image.Rect(x, y, x+max(1, int(w)), y+max(1, int(h)))
	// A kernel as wide as the reduction averages over all pixels: no face is
	// made coarser than its window.
	draw.CatmullRom.Scale(c.img, area(window), toImage(p), middle, draw.Src, nil)
}

// hand is a way of writing.
type hand struct {
	font *sfnt.Font
	size float64
	ink  color.RGBA
}

func (h hand) face() (font.Face, error) {
	return opentype.NewFace(h.font, &opentype.FaceOptions{Size: h.size * scale, DPI: 72})
}

// write sets words on a base line from x on, smaller where they would take
// more than room.
func (c *canvas) write(h hand, x, base, room float64, words string) error {
	width, err := c.measure(h, words)
	if err != nil {
		return err
	}
	if width > room {
		h.size *= room / width
	}
	face, err := h.face()
	if err != nil {
		return err
	}
	c.drawer(h, face, x, base).DrawString(words)
	return nil
}

func (c *canvas) drawer(h hand, face font.Face, x, base float64) *font.Drawer {
	return &font.Drawer{Dst: c.img, Src: image.NewUniform(h.ink), Face: face, Dot: point(x, base)}
}

func point(x, y float64) fixed.Point26_6 {
	return fixed.Point26_6{X: fixed.Int26_6(math.Round(x * scale * 64)), Y: fixed.Int26_6(math.Round(y * scale * 64))}
}

// measure gives the width of words, and an error where the font lacks one of
// their letters: a box in its place would be a document that says another name.
func (c *canvas) measure(h hand, words string) (float64, error) {
	for _, r := range words {
		if i, err := h.font.GlyphIndex(&c.buf, r); err != nil || i == 0 {
			return 0, fmt.Errorf("%q cannot be printed: no letter %q in the font", words, r)
		}
	}
	face, err := h.face()
	if err != nil {
		return 0, err
	}
	return float64(font.MeasureString(face, words)) / 64 / scale, nil
}

// visualZone prints the header and the fields.
func (c *canvas) visualZone(l *layout, f mrz.Fields) error {
	c.fill(box{0, 0, l.width, l.header}, l.accent)
	heading := hand{c.bold, l.header * 0.5, strip}
	base := l.header * 0.68
	width, err := c.measure(heading, l.title)
	if err != nil {
		return err
	}
	if err := c.write(heading, l.margin, base, l.width, "UTOPIA"); err != nil {
		return err
	}
	if err := c.write(heading, l.width-l.margin-width, base, l.width, l.title); err != nil {
		return err
	}

	rows := l.rows(f)
	left := l.portrait.x + l.portrait.width + l.margin
	step := l.portrait.height / float64(len(rows))
	for i, row := range rows {
		column := (l.width - l.margin - left) / float64(len(row))
		y := l.portrait.y + step*float64(i)
		for j, field := range row {
			if err := c.field(l, field, left+column*float64(j), y, column-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// field prints a label above its value; SPECIMEN where the cell is empty.
func (c *canvas) field(l *layout, f cell, x, y, room float64) error {
	below := y + l.label*1.2 + l.value
	if f == (cell{}) {
		return c.write(hand{c.bold, l.value * 2, marked}, x, below, room, "SPECIMEN")
	}
	if err := c.write(hand{c.regular, l.label, grey}, x, y+l.label*0.8, room, f.label); err != nil {
		return err
	}
	return c.write(hand{c.bold, l.value, black}, x, below, room, f.value)
}
