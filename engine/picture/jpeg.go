package picture

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -l:libjpeg.a
#include <stdlib.h>
#include "jpeg.h"
*/
import "C"

import (
	"context"
	"fmt"
	"sync/atomic"
	"unsafe"
)

func jpegSize(data []byte) (w, h int, err error) {
	var cw, ch C.int
	var message [200]C.char
	code := C.gh_jpeg_size((*C.uint8_t)(&data[0]), C.size_t(len(data)), &cw, &ch, &message[0])
	return int(cw), int(ch), jpegError(code, message[:])
}

// decodeJPEG reads the picture, reduced by 1, 2, 4 or 8 while decoding.
func decodeJPEG(ctx context.Context, data []byte, w, h, reduce int) (*Picture, error) {
	p := &Picture{Width: (w + reduce - 1) / reduce, Height: (h + reduce - 1) / reduce, FullWidth: w, FullHeight: h}
	p.Pix = buffer(3 * p.Width * p.Height)
	var stop int32
	defer context.AfterFunc(ctx, func() { atomic.StoreInt32(&stop, 1) })()
	var message [200]C.char
	code := C.gh_jpeg_decode((*C.uint8_t)(&data[0]), C.size_t(len(data)), C.int(reduce),
		(*C.uint8_t)(&p.Pix[0]), C.int(p.Width), C.int(p.Height), (*C.int32_t)(unsafe.Pointer(&stop)), &message[0])
	if code == C.GH_STOPPED {
		return nil, ctx.Err()
	}
	return p, jpegError(code, message[:])
}

func jpegError(code C.int, message []C.char) error {
	text := C.GoString(&message[0])
	switch code {
	case C.GH_OK:
		return nil
	case C.GH_TRUNCATED:
		return fmt.Errorf("%w: %s", ErrTruncated, text)
	case C.GH_TOO_LARGE:
		return fmt.Errorf("%w: %s", ErrTooLarge, text)
	case C.GH_UNSUPPORTED:
		return fmt.Errorf("%w that can be read: %s", ErrUnsupported, text)
	}
	return fmt.Errorf("%w: %s", ErrCorrupt, text)
}
