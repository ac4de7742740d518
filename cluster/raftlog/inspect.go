package raftlog

import (
	"errors"
	"os"
)

// Report of what is in a folder.
type Report struct {
	// First and Last entry that verify, up to the damage; 0 where there are none.
	First, Last uint64
	Segments    int
	Bytes       int64
	// Torn bytes at the end, which a crash has left and Open cuts.
	Torn int64
	// Damage is the first that was found, nil where there is none: ErrDamaged,
	// ErrFormat or ErrCluster.
	Damage error
}

// Inspect reads the whole log of a cluster and changes nothing. No process may
// write it meanwhile. The error is that of the disk, or os.ErrNotExist.
func Inspect(dir, cluster string) (Report, error) {
	c := Config{Dir: dir, Cluster: cluster, FS: system{os.O_RDONLY}}
	if err := c.check(); err != nil {
		return Report{}, err
	}
	f, err := load(&c)
	r := Report{Segments: len(f.segments), Torn: f.torn}
	for _, s := range f.segments {
		r.Bytes += s.size
		if len(s.offsets) > 0 {
			r.Last = s.next() - 1
		}
	}
	if r.Last > 0 {
		r.First = f.segments[0].base
	}
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrFormat) || errors.Is(err, ErrCluster) {
		r.Damage, r.Torn, err = err, 0, nil
	}
	return r, errors.Join(err, f.close())
}
