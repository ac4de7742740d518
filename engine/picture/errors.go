package picture

import "errors"

// Errors of this package. Decode wraps each with what it found.
var (
	ErrEmpty       = errors.New("the file is empty")
	ErrUnsupported = errors.New("not a JPEG, PNG or WebP picture")
	ErrTooLarge    = errors.New("the picture is too large")
	ErrTruncated   = errors.New("the picture is cut off")
	ErrCorrupt     = errors.New("the picture is damaged")
	ErrAnimated    = errors.New("the picture is animated")
)

// Refused says whether err means that the input, not the machine, is at fault.
func Refused(err error) bool {
	for _, e := range []error{ErrEmpty, ErrUnsupported, ErrTooLarge, ErrTruncated, ErrCorrupt, ErrAnimated} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
