package specimen

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"

	"gatehouse/engine/document/mrz"
)

// machineZone prints the lines in OCR-B, each character in the middle of its
// cell, on a strip that holds nothing else.
func (c *canvas) machineZone(l *layout, lines []string) error {
	top := l.height - zoneHeight
	c.fill(box{0, top, l.width, zoneHeight}, strip)
	advance, err := c.advance()
	if err != nil {
		return err
	}
	// ISO 1073-2 size I: the font's own cell is the pitch of Doc 9303.
	h := hand{c.ocrb, pitch / advance, black}
	face, err := h.face()
	if err != nil {
		return err
	}
	const capital = 0.71 // height of a capital, of the size
	first := top + (zoneHeight-lineSpacing*float64(len(lines)-1)+capital*h.size)/2
	for i, line := range lines {
		left := (l.width - pitch*float64(len(line))) / 2
		for j, r := range line {
			c.drawer(h, face, left+pitch*float64(j), first+lineSpacing*float64(i)).DrawString(string(r))
		}
	}
	return nil
}

// advance gives the width of the font's characters as a part of its size, and
// an error where it cannot draw one of them: x/image would leave a gap.
func (c *canvas) advance() (float64, error) {
	const size = 1000
	var width fixed.Int26_6
	for _, r := range mrz.Alphabet {
		i, err := c.ocrb.GlyphIndex(&c.buf, r)
		if err == nil && i == 0 {
			err = errors.New("not in the font")
		}
		if err != nil {
			return 0, fmt.Errorf("font OCR-B: %q: %w", r, err)
		}
		_, w, err := c.ocrb.GlyphBounds(&c.buf, i, fixed.I(size), font.HintingNone)
		if err != nil {
			return 0, fmt.Errorf("font OCR-B: %q: %w", r, err)
		}
		if width != 0 && w != width || w <= 0 {
			return 0, fmt.Errorf("font OCR-B: %q is not as wide as the other characters", r)
		}
		width = w
	}
	return float64(width) / 64 / size, nil
}

// Operators and operands of a Type 2 charstring (Adobe Technical Note 5177).
const (
	rrcurveto = 8
	shortint  = 28
	operands  = 11 // of flex1
	zero      = 139
)

// number says whether a byte is a number by itself: that less zero.
func number(b int) bool { return b >= 32 && b <= 246 }

// withoutFlex gives the font with its flex1 curves written as rrcurveto. x/image
// does not know flex1, with which OCR-B draws its 8 and its <. Flex1 leaves out
// one of the last two of twelve coordinates, as the curve comes back to the
// height (or the side) at which it began, and its operator has two bytes for
// one: with small numbers both forms are equally long, and nothing else in the
// font moves. Other forms stay, and are refused when the zone is printed.
func withoutFlex(font []byte) []byte {
	flex1 := []byte{12, 37}
	out := bytes.Clone(font)
	for at := 0; ; at += len(flex1) {
		i := bytes.Index(out[at:], flex1)
		if i < 0 {
			return out
		}
		at += i
		if at <= operands {
			continue
		}
		before := int(out[at-operands-1])
		small := !number(before) && before < zero && before != shortint
		curve := out[at-operands : at+len(flex1)]
		var dx, dy int // from the beginning to the last point but one
		for k, b := range curve[:operands] {
			small = small && number(int(b))
			switch {
			case k == operands-1:
			case k%2 == 0:
				dx += int(b) - zero
			default:
				dy += int(b) - zero
			}
		}
		last := int(curve[operands-1])
		x, y := last, zero-dy
		if dx*dx <= dy*dy {
			x, y = zero-dx, last
		}
		if small && number(x) && number(y) {
			copy(curve[operands-1:], []byte{byte(x), byte(y), rrcurveto})
		}
	}
}
