package forward

import "time"

// ReencodeCursor reads a cursor and writes it again.
func ReencodeCursor(b []byte, sink string) ([]byte, error) {
	at, err := parseCursor(b, sink)
	if err != nil {
		return nil, err
	}
	return encodeCursor(sink, at), nil
}

// Frame of a leaf, as the nth message of a sender.
func Frame(host, node, version, origin string, seq int64, leaf []byte, n uint32) []byte {
	m := newMessages(host, node, version)
	m.sequence = n - 1
	return m.appendFrame(nil, line(origin, seq, leaf))
}

// PauseAfter n failures, by default.
func PauseAfter(n int) time.Duration { return pauseAfter(n) }

// MaxBatch bytes of a sink.
const MaxBatch = maxBatch
