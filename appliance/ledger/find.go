package ledger

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"gatehouse/store/audit"
	"gatehouse/store/audit/index"
	"gatehouse/store/audit/segment"
	"gatehouse/store/state"
)

const (
	// keptIndexes of sealed segments at most are in memory, with 5 KiB each: of
	// 268 million events.
	keptIndexes = 4096
	// keptTails: the recent events of at most so many logs are indexed in memory,
	// 3 MB each.
	keptTails = 16
)

// finder finds events by what they are about. What it keeps is derived from the
// logs and made anew where it is missing or damaged; who shows an event verifies
// it.
type finder struct {
	dir   string
	state *state.State

	mu    sync.Mutex
	files map[string]*list.Element // by path
	used  list.List                // of *kept, the latest first
	tails map[string]*tail         // by the log's origin
	turn  int64
}

type kept struct {
	path  string
	index *index.Index
}

func newFinder(dir string, s *state.State) *finder {
	return &finder{dir: dir, state: s, files: map[string]*list.Element{}, tails: map[string]*tail{}}
}

// part of a log: a segment, sealed or growing.
type part struct {
	finder      *finder
	log, origin string
	from, to    int64
	index       *index.Index
	file        string // empty: in memory
}

// find gives the leaves of [from, to) that have all terms, ascending.
func (p *part) find(ctx context.Context, terms []index.Term, from, to int64) ([]int64, error) {
	found, err := p.index.Find(terms, from, to)
	if p.file == "" || !errors.Is(err, index.ErrDamaged) && !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	if p.index, err = p.finder.rebuild(ctx, p.log, p.origin, p.from, p.file); err != nil {
		return nil, err
	}
	return p.index.Find(terms, from, to)
}

// segment opens the index of a full segment, and makes it where it is missing or
// damaged.
func (f *finder) segment(ctx context.Context, log, origin string, n int64) (*part, error) {
	_, folder, epoch, err := audit.ParseOrigin(origin)
	if err != nil {
		return nil, err
	}
	p := &part{finder: f, log: log, origin: origin, from: n << segment.Height, to: (n + 1) << segment.Height,
		file: filepath.Join(f.dir, folder, fmt.Sprintf("e%d", epoch), fmt.Sprintf("%08d.index", n))}
	f.mu.Lock()
	if e := f.files[p.file]; e != nil {
		f.used.MoveToFront(e)
		p.index = e.Value.(*kept).index
	}
	f.mu.Unlock()
	if p.index != nil {
		return p, nil
	}
	if p.index, err = index.ReadFile(p.file, origin, p.from); err == nil {
		if from, to := p.index.Range(); from != p.from || to != p.to {
			err = index.ErrDamaged // it would hide events
		}
	}
	if err != nil {
		p.index, err = f.rebuild(ctx, log, origin, p.from, p.file)
		return p, err
	}
	f.keep(p.file, p.index)
	return p, nil
}

// rebuild the index of a full segment from its leaves.
func (f *finder) rebuild(ctx context.Context, log, origin string, first int64, path string) (*index.Index, error) {
	b := index.NewBuilder(origin, first)
	if err := f.add(ctx, log, b, first, first+segment.Leaves); err != nil {
		return nil, err
	}
	if err := index.WriteFile(path, b); err != nil {
		return nil, err
	}
	x, err := index.ReadFile(path, origin, first)
	if err == nil {
		f.keep(path, x)
	}
	return x, err
}

// keep an index; the one that was used longest ago goes.
func (f *finder) keep(path string, x *index.Index) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.files[path]; e != nil {
		e.Value.(*kept).index = x
		return
	}
	f.files[path] = f.used.PushFront(&kept{path, x})
	if f.used.Len() > keptIndexes {
		last := f.used.Back()
		delete(f.files, last.Value.(*kept).path)
		f.used.Remove(last)
	}
}

// add leaves of a log to an index.
func (f *finder) add(ctx context.Context, log string, b *index.Builder, from, to int64) error {
	return f.state.Log(log).Scan(ctx, from, to, func(seq int64, bytes []byte) error {
		l, err := audit.DecodeLeaf(bytes)
		if err != nil {
			return fmt.Errorf("event %d: %w", seq, err)
		}
		return b.Add(seq, l)
	})
}

// tail indexes the leaves of a log that are in no sealed segment.
type tail struct {
	turn int64 // when it was last used

	mu       sync.Mutex
	builders map[int64]*index.Builder // by segment; more than one while sealing is behind
}

// tail of a log; that of another one that was used longest ago goes.
func (f *finder) tail(origin string) *tail {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tails[origin]
	if t == nil {
		t = &tail{builders: map[int64]*index.Builder{}}
		if len(f.tails) == keptTails {
			oldest := ""
			for name, other := range f.tails {
				if oldest == "" || other.turn < f.tails[oldest].turn {
					oldest = name
				}
			}
			delete(f.tails, oldest)
		}
		f.tails[origin] = t
	}
	f.turn++
	t.turn = f.turn
	return t
}

// recent parts of a log: from segment first on, up to its head.
func (f *finder) recent(ctx context.Context, log string, h state.LogHead, first int64) ([]*part, error) {
	t := f.tail(h.Origin)
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := range t.builders {
		if n < first {
			delete(t.builders, n)
		}
	}
	var all []*part
	for n := first; n<<segment.Height < h.Size; n++ {
		b := t.builders[n]
		if b == nil {
			b = index.NewBuilder(h.Origin, n<<segment.Height)
			t.builders[n] = b
		}
		x := b.Index()
		_, next := x.Range()
		if end := min(h.Size, (n+1)<<segment.Height); next < end {
			if err := f.add(ctx, log, b, next, end); err != nil {
				return nil, err
			}
		}
		all = append(all, &part{finder: f, log: log, origin: h.Origin, from: n << segment.Height, to: min(h.Size, (n+1)<<segment.Height), index: x})
	}
	return all, nil
}

// errStop ends a walk.
var errStop = errors.New("stop")

// parts of a log below its head, the newest first.
func (f *finder) parts(ctx context.Context, log string, h state.LogHead, do func(*part) error) error {
	full := h.Parts()
	recent, err := f.recent(ctx, log, h, full)
	if err != nil {
		return err
	}
	for i := len(recent) - 1; i >= 0; i-- {
		if err := do(recent[i]); err != nil {
			return err
		}
	}
	for n := full - 1; n >= 0; n-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := f.segment(ctx, log, h.Origin, n)
		if err != nil {
			return err
		}
		if err := do(p); err != nil {
			return err
		}
	}
	return nil
}

// all events below the head that have the terms, in order.
func (f *finder) all(ctx context.Context, log string, h state.LogHead, terms ...index.Term) ([]int64, error) {
	var parts [][]int64
	err := f.parts(ctx, log, h, func(p *part) error {
		found, err := p.find(ctx, terms, p.from, p.to)
		parts = append(parts, found)
		return err
	})
	var all []int64
	for i := len(parts) - 1; i >= 0; i-- {
		all = append(all, parts[i]...)
	}
	return all, err
}
