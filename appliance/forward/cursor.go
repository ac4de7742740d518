package forward

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gatehouse/store/audit"
	"gatehouse/store/disk"
)

const (
	cursorHeader = "gatehouse/forward-cursor/1"
	// maxCursor bytes in the file: a line has at most 170, so that 90,000 logs
	// fit, far more than the tenants of one cluster.
	maxCursor = 16 << 20
)

// position of a sink in a log.
type position struct {
	origin string
	next   int64 // event to be sent
}

// positions by the log's origin without its epoch.
type positions map[string]position

// logOf gives the key of positions.
func logOf(origin string) (string, error) {
	cluster, tenant, _, err := audit.ParseOrigin(origin)
	return cluster + "/" + tenant, err
}

// of gives the position in a log, and why it is another one than was recorded.
func (p positions) of(h head) (at position, other string) {
	at, known := p[h.key]
	switch {
	case !known:
		return position{h.origin, 0}, ""
	case at.origin != h.origin:
		return position{h.origin, 0}, fmt.Sprintf("%s was sent up to %d before", at.origin, at.next)
	case at.next > h.size:
		return position{h.origin, 0}, fmt.Sprintf("it has %d events, and %d were sent before", h.size, at.next)
	}
	return at, ""
}

// in a log, of whichever epoch: the event that is to be sent next.
func (p positions) in(h head) int64 {
	at, _ := p.of(h)
	return at.next
}

// inEpoch is the origin of the log with this key.
func inEpoch(key string, epoch int64) string { return fmt.Sprintf("%s/e%d", key, epoch) }

func cursorPath(dir, sink string) string {
	return filepath.Join(dir, fmt.Sprintf("%x.cursor", sha256.Sum256([]byte(sink))))
}

// readCursor gives nil if there is none.
func readCursor(path, sink string) (positions, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCursor+1))
	if err != nil {
		return nil, err
	}
	at, err := parseCursor(b, sink)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, path)
	}
	return at, nil
}

// parseCursor accepts exactly what encodeCursor writes.
func parseCursor(b []byte, sink string) (positions, error) {
	if len(b) > maxCursor {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrCursor, maxCursor)
	}
	rest, ok := bytes.CutPrefix(b, []byte(cursorHeader+"\nsink "+sink+"\n"))
	if !ok {
		return nil, fmt.Errorf("%w: it does not start with %s and the sink %s", ErrCursor, cursorHeader, sink)
	}
	at := positions{}
	for line := range strings.Lines(string(rest)) {
		if strings.HasPrefix(line, "sha256 ") {
			break
		}
		origin, number, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		log, originErr := logOf(origin)
		next, err := strconv.ParseInt(number, 10, 64)
		if originErr != nil || err != nil || next < 0 {
			return nil, fmt.Errorf("%w: the line %.200q", ErrCursor, line)
		}
		at[log] = position{origin, next}
	}
	if !bytes.Equal(encodeCursor(sink, at), b) {
		return nil, fmt.Errorf("%w: its checksum or its form is wrong", ErrCursor)
	}
	return at, nil
}

func writeCursor(path, sink string, at positions) error {
	b := encodeCursor(sink, at)
	if len(b) > maxCursor {
		return fmt.Errorf("%w: %d logs are more than it holds", ErrCursor, len(at))
	}
	if err := disk.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("recording what was sent to %s: %w", sink, err)
	}
	return nil
}

// replaceCursor puts a damaged cursor aside and an empty one in its place. There
// is one at any time: without, a sink that starts from now would leave out all.
func replaceCursor(path, aside, sink string) error {
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(path, aside); err != nil {
		return err
	}
	return writeCursor(path, sink, positions{})
}

func encodeCursor(sink string, at positions) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nsink %s\n", cursorHeader, sink)
	for _, log := range slices.Sorted(maps.Keys(at)) {
		fmt.Fprintf(&b, "%s %d\n", at[log].origin, at[log].next)
	}
	fmt.Fprintf(&b, "sha256 %x\n", sha256.Sum256(b.Bytes()))
	return b.Bytes()
}
