package replica

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxNames in one question; each is a line of 65 bytes.
const (
	maxNames = 1000
	nameSize = 64
	lineSize = nameSize + 1
)

// readNames reads lines, each with the name of a blob, at most maxNames.
func readNames(r io.Reader) ([]string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxNames*lineSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxNames*lineSize:
		return nil, fmt.Errorf("%w: more than %d", errNames, maxNames)
	case len(b)%lineSize != 0:
		return nil, fmt.Errorf("%w: %d bytes", errNames, len(b))
	}
	names := make([]string, 0, len(b)/lineSize)
	for line := range slices.Chunk(b, lineSize) {
		if line[nameSize] != '\n' || !isName(line[:nameSize]) {
			return nil, fmt.Errorf("%w: line %d", errNames, len(names)+1)
		}
		names = append(names, string(line[:nameSize]))
	}
	return names, nil
}

func isName(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(b) == nameSize
}

func writeNames(names []string) string {
	var b strings.Builder
	b.Grow(len(names) * lineSize)
	for _, name := range names {
		b.WriteString(name)
		b.WriteByte('\n')
	}
	return b.String()
}

// have asks a node which of the blobs it has, at most maxNames of them.
func (r *Replica) have(ctx context.Context, node string, names []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limits.ask)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "/blobs/have", strings.NewReader(writeNames(names)))
	if err != nil {
		return nil, err
	}
	q.Header["Idempotency-Key"] = nil // net/http: may be repeated; is not sent
	a, err := r.config.Peers.Do(node, q)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return nil, refused(a)
	}
	return readNames(a.Body)
}
