package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// lineMax bytes of an operation: a decision with all its signals is a tenth.
const lineMax = 1 << 20

// Log records operations while they run, and writes each as a line of JSON when
// it ends. Safe for concurrent use.
type Log struct {
	began time.Time

	mu     sync.Mutex
	file   *os.File
	err    error // the first of a write
	open   map[*Call]bool
	ops    []Op
	closed bool
}

// NewLog writes to path, which must not be there yet.
func NewLog(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &Log{began: time.Now(), file: f, open: map[*Call]bool{}}, nil
}

// now never steps back: it is what the wall said at first and the monotonic
// clock since.
func (l *Log) now() int64 { return l.began.UnixNano() + int64(time.Since(l.began)) }

// Call is an operation that runs. Its first end counts.
type Call struct {
	log *Log
	op  Op
}

// Begin an operation, right before the request; of op, the client, session,
// kind, key and pictures are taken.
func (l *Log) Begin(op Op) *Call {
	c := &Call{l, Op{Client: op.Client, Session: op.Session, Kind: op.Kind, Key: op.Key, Pictures: op.Pictures}}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = true
	c.op.Call = l.now()
	return c
}

// OK: it was answered.
func (c *Call) OK(a Answer) { c.end(OK, a, nil) }

// Unknown: it may have been done, and may still be.
func (c *Call) Unknown(err error) { c.end(Unknown, Answer{}, err) }

// Failed: it was refused, and will never be done.
func (c *Call) Failed(err error) { c.end(Failed, Answer{}, err) }

func (c *Call) end(o Outcome, a Answer, err error) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open[c] {
		return
	}
	delete(l.open, c)
	c.op.Return, c.op.Outcome, c.op.Answer = l.now(), o, a
	if err != nil {
		c.op.Error = err.Error()
	}
	l.write(c.op)
}

func (l *Log) write(op Op) {
	b, err := json.Marshal(op)
	if err == nil {
		err = op.check()
	}
	if err == nil && len(b) >= lineMax {
		err = fmt.Errorf("an operation of %d bytes", len(b))
	}
	if err == nil {
		_, err = l.file.Write(append(b, '\n'))
	}
	if err != nil && l.err == nil {
		l.err = err
	}
	l.ops = append(l.ops, op)
}

// Ops that have ended so far.
func (l *Log) Ops() []Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ops)
}

// Close ends what still runs as unknown. The error is the first of a write: what
// was recorded is then not all in the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.err
	}
	l.closed = true
	for c := range l.open {
		c.op.Return, c.op.Outcome, c.op.Error = l.now(), Unknown, "it ran when the history was closed"
		l.write(c.op)
	}
	clear(l.open)
	if err := l.file.Close(); l.err == nil {
		l.err = err
	}
	return l.err
}

// Parse reads a history back. Errors: ErrHistory with the line, or the reader's.
func Parse(r io.Reader) ([]Op, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, lineMax)
	var ops []Op
	for n := 1; lines.Scan(); n++ {
		var op Op
		err := json.Unmarshal(lines.Bytes(), &op)
		if err == nil {
			err = op.check()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrHistory, n, err)
		}
		ops = append(ops, op)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: line %d: %w", ErrHistory, len(ops)+1, err)
	}
	return ops, nil
}
