package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"gatehouse/store/audit/segment"
)

func (s *auditRun) appendFigures() []figure {
	all := []figure{
		info("audit_append_us", "us", 1), goal("audit_append_flat", "ratio", 2, "<=", 1.5), info("audit_append_growth", "ratio", 2), goal("audit_append_flat_sealing", "ratio", 2, "<=", 1.5),
		info("audit_seal_us", "us", 1), info("audit_seal_held_ms", "ms", 0),
		info("audit_leaf_bytes", "bytes", 0), info("audit_leaf_compressed_bytes", "bytes", 1), info("audit_sealed_leaf_bytes", "bytes", 1),
		goal("audit_disk_overhead", "GB_per_10m", 2, "<=", 1),
	}
	if !s.enough() {
		all = append(all, info(s.sized("audit_disk_overhead", "mb"), "MB", 0))
	}
	return all
}

// decade is a size of the log, at which an event costs what the window from half
// of it to all of it shows.
type decade struct {
	size  int64
	spent []spending // of the windows: small logs have several
}

// cost of an event in µs of CPU time, the median of the windows, and what it
// costs to put it away, where segments were sealed.
func (d *decade) cost() (apply, seal float64) {
	var all []float64
	for _, w := range d.spent {
		all = append(all, microseconds(w.apply)/float64(w.leaves))
		if w.segments > 0 {
			seal = microseconds(w.seal) / float64(w.segments*segment.Leaves)
		}
	}
	return median(all), seal
}

func microseconds(d time.Duration) float64 { return 1e3 * milliseconds(d) }

func (s *auditRun) decades() []*decade {
	var all []*decade
	for size := int64(1000); size <= s.size; size *= 10 {
		all = append(all, &decade{size: size})
	}
	return all
}

// smallLogs are those that are filled anew for each window.
const smallLogs = 10_000

// appends fills the log, and measures what an event costs meanwhile and at the
// end.
func (s *auditRun) appends(ctx context.Context) error {
	all := s.decades()
	for i := range 1 + s.or(3, 7) {
		if i == 1 { // the first one does not count
			for _, d := range all {
				d.spent = nil
			}
		}
		if err := s.small(ctx, filepath.Join(s.dir, fmt.Sprint("small", i)), all); err != nil {
			return err
		}
	}
	if err := s.fill(ctx, all); err != nil {
		return err
	}
	s.tellCosts(all)
	return s.weigh(ctx)
}

// small fills a log of its own for the small sizes.
func (s *auditRun) small(ctx context.Context, dir string, all []*decade) error {
	l, err := newAuditLog(ctx, dir, smallLogs)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer l.close()
	for _, d := range all {
		if d.size <= smallLogs {
			if err := l.window(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// window fills the log to a size and takes what the second half has cost.
func (l *auditLog) window(ctx context.Context, d *decade) error {
	if err := l.fill(ctx, d.size/2); err != nil {
		return err
	}
	from := l.spent
	if err := l.fill(ctx, d.size); err != nil {
		return err
	}
	d.spent = append(d.spent, l.spent.since(from))
	return nil
}

// prepare fills the log for another part alone.
func (s *auditRun) prepare(ctx context.Context) error { return s.fill(ctx, nil) }

// fill the log. Its windows are those of the sizes that are not small.
func (s *auditRun) fill(ctx context.Context, all []*decade) (err error) {
	if s.log, err = newAuditLog(ctx, filepath.Join(s.dir, "log"), s.size); err != nil {
		return err
	}
	for _, d := range all {
		if d.size > smallLogs {
			if err := s.log.window(ctx, d); err != nil {
				return err
			}
			fmt.Fprintf(s.progress, "the log has %d events\n", d.size)
		}
	}
	if err := s.log.fill(ctx, s.size); err != nil {
		return err
	}
	s.log.now = time.Time{} // from here on, time is what it is
	return s.log.ledger.Tick(ctx)
}

func (s *auditRun) tellCosts(all []*decade) {
	t := table{title: "What an event costs as the log grows, in µs of CPU time", head: []string{"events in the log", "to append it", "to seal it", "both", "segments sealed"},
		note: fmt.Sprintf("Of the events in the second half of so many. Appended: all that applying does, from entries as Raft gives them, %d at a time, to the\nstate's file, committed each %d events. Up to %d events medians of %d logs. Sealed: the segments' files and indexes, and the entries by\nwhich the leaves leave the state, for each leaf in them; a log that is shorter than a segment seals nothing.",
			raftBatch, commitLeaves, smallLogs, len(all[0].spent))}
	var plain, both, seals []float64
	for _, d := range all {
		apply, seal := d.cost()
		plain = append(plain, apply)
		row := []string{fmt.Sprint(d.size), fmt.Sprintf("%.1f", apply), "–", "–", fmt.Sprint(d.spent[0].segments)}
		if seal > 0 {
			both, seals = append(both, apply+seal), append(seals, seal)
			row[2], row[3] = fmt.Sprintf("%.1f", seal), fmt.Sprintf("%.1f", apply+seal)
		}
		t.add(row...)
	}
	s.table(t)
	s.measure("audit_append_us", plain[len(plain)-1])
	s.measure("audit_append_flat", slices.Max(plain)/slices.Min(plain))
	s.measure("audit_append_growth", plain[len(plain)-1]/plain[0])
	if len(both) < 2 {
		s.leave("audit_append_flat_sealing", shorterLog)
	} else {
		s.measure("audit_append_flat_sealing", slices.Max(both)/slices.Min(both))
	}
	if len(seals) == 0 {
		s.leave("audit_seal_us", shorterLog)
		s.leave("audit_seal_held_ms", shorterLog)
		return
	}
	c := s.log.cluster
	s.measure("audit_seal_us", seals[len(seals)-1])
	s.measure("audit_seal_held_ms", milliseconds(c.sealing))
	fmt.Fprintf(s.out, "To seal a segment takes %.2f s of CPU time. An entry of it held the state for %.0f ms at most, a commit of events for %.0f ms.\n\n",
		s.log.spent.seal.Seconds()/float64(s.log.spent.segments), milliseconds(c.sealing), milliseconds(c.committing))
}

// weigh compares what the log takes of the disk with its leaves alone.
func (s *auditRun) weigh(ctx context.Context) error {
	h, err := s.log.view().Head()
	if err != nil {
		return err
	}
	alone, plain, err := s.compressed(ctx, h.Size)
	if err != nil {
		return err
	}
	files, err := sizes(s.log.dir)
	if err != nil {
		return err
	}
	_, free := s.log.cluster.state.Size()
	t := table{title: "The log on the disk", head: []string{"what", "MB", "events", "bytes an event"},
		note: fmt.Sprintf("Alone: in one zstd stream, at the level and with the window of the segments. state.db is as it lies there; %.0f MB of it are free pages,\nwhich it uses again. What opens commitments is not counted.", float64(free)/1e6)}
	sealed := files[".seg"] + files[".index"]
	whole := sealed + files[".db"]
	for _, row := range []struct {
		name          string
		bytes, events int64
	}{{"leaves as they are", plain, h.Size}, {"leaves alone, compressed", alone, h.Size}, {"segments", files[".seg"], h.Sealed}, {"indexes", files[".index"], h.Sealed},
		{"state.db", files[".db"], h.Size - h.Sealed}, {"all three", whole, h.Size}, {"beyond the leaves alone", whole - alone, h.Size}} {
		t.add(row.name, fmt.Sprintf("%.1f", float64(row.bytes)/1e6), fmt.Sprint(row.events), fmt.Sprintf("%.1f", float64(row.bytes)/float64(max(row.events, 1))))
	}
	s.table(t)
	events := float64(h.Size)
	s.measure("audit_leaf_bytes", float64(plain)/events)
	s.measure("audit_leaf_compressed_bytes", float64(alone)/events)
	if h.Sealed == 0 {
		s.leave("audit_sealed_leaf_bytes", shorterLog)
	} else {
		s.measure("audit_sealed_leaf_bytes", float64(sealed)/float64(h.Sealed))
	}
	if !s.enough() { // state.db does not grow with the log, so that a smaller one says nothing of this
		s.leave("audit_disk_overhead", needsLong)
		s.measure(s.sized("audit_disk_overhead", "mb"), float64(whole-alone)/1e6)
		return nil
	}
	s.measure("audit_disk_overhead", float64(whole-alone)/events*auditMost/1e9)
	return nil
}

// compressed gives the bytes of the leaves, in one stream and as they are.
func (s *auditRun) compressed(ctx context.Context, size int64) (alone, plain int64, err error) {
	var out counter
	z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(4<<20), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return 0, 0, err
	}
	err = s.log.view().Scan(ctx, 0, size, func(_ int64, leaf []byte) error {
		plain += int64(len(leaf))
		_, err := z.Write(leaf)
		return err
	})
	if e := z.Close(); err == nil {
		err = e
	}
	return int64(out), plain, err
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// sizes of the files below a folder, by the ends of their names.
func sizes(dir string) (map[string]int64, error) {
	all := map[string]int64{}
	return all, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		i, err := d.Info()
		if err == nil {
			all[filepath.Ext(path)] += i.Size()
		}
		return err
	})
}

// forget what the system keeps of a file in memory; it is on the disk.
func forget(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("fadvise of %s: %w", path, err)
	}
	return nil
}
