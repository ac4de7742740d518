package specimen

import (
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"

	"gatehouse/engine/picture"
)

// WriteJPEG writes a picture as a JPEG of this quality, 1 to 100.
func WriteJPEG(w io.Writer, p *picture.Picture, quality int) error {
	if err := whole(p); err != nil {
		return err
	}
	return jpeg.Encode(w, toImage(p), &jpeg.Options{Quality: quality})
}

// WritePNG writes a picture as a PNG.
func WritePNG(w io.Writer, p *picture.Picture) error {
	if err := whole(p); err != nil {
		return err
	}
	return png.Encode(w, toImage(p))
}

// toImage gives the pixels to the standard library's encoders and scalers,
// which are fast for this type.
func toImage(p *picture.Picture) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(img.Pix[4*i:4*i+3], p.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	return img
}

func fromImage(img image.Image) *picture.Picture {
	flat, ok := img.(*image.RGBA)
	if !ok {
		flat = image.NewRGBA(img.Bounds())
		draw.Draw(flat, flat.Rect, img, img.Bounds().Min, draw.Src)
	}
	p := picture.New(flat.Rect.Dx(), flat.Rect.Dy())
	for i := range p.Width * p.Height {
		copy(p.Pix[3*i:3*i+3], flat.Pix[4*i:4*i+3])
	}
	return p
}
