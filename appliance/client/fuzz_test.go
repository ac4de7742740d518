package client

import (
	"strings"
	"testing"
)

// Whatever a node sends, no event holds more than is allowed, and none is given
// after an error.
func FuzzServerSent(f *testing.F) {
	f.Add("event: session\ndata: {}\n\n")
	f.Add(": x\r\n\r\ndata:1\r\ndata: 2\r\n\r\n")
	f.Add("data")
	f.Fuzz(func(t *testing.T, stream string) {
		failed := false
		for e, err := range serverSent(strings.NewReader(stream)) {
			if failed {
				t.Fatal("an event after an error")
			}
			failed = err != nil
			if len(e.data) > maxEvent+1 || strings.Contains(e.kind, "\n") {
				t.Fatalf("kind %q, %d bytes", e.kind, len(e.data))
			}
		}
	})
}
