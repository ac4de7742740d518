package state

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/segment"
	"gatehouse/store/command"
)

// DropAtOnce leaves at most go with one entry: with their hashes 12,000 rows,
// for which the state is held.
const DropAtOnce = 4096

// sealSegment drops leaves of the oldest full segment, and the hashes that they
// complete below its root, once a file of this node holds them. The file is
// made from the rows where it is missing: it is a function of the state, as they
// are. The last part writes that the segment is sealed.
func (a *apply) sealSegment(p *command.SealSegment) error {
	log := logRow(a, p.Log)
	head, err := load[command.Head](a, heads, key(log))
	if err != nil && a.get(heads, key(log)) == nil {
		return refuse(Malformed)
	}
	if err != nil {
		return err
	}
	n := head.Sealed >> segment.Height
	end := (n + 1) << segment.Height
	if a.Tenant != "" || head.Size < end || p.Until <= head.Sealed || p.Until > min(end, head.Sealed+DropAtOnce) {
		return refuse(Malformed)
	}
	name, err := origin(a, log)
	if err != nil {
		return err
	}
	root, err := hashesOf(a, log).Hash(tlog.StoredHashIndex(segment.Height, int64(n)))
	if err != nil {
		return err
	}
	if head.Sealed == n<<segment.Height {
		if err := a.segments.Write(name, int64(n), root, a.leafOf(log)); err != nil {
			return fmt.Errorf("%w: segment %d of %s: %w", ErrUnusable, n, name, err)
		}
	}
	for seq := head.Sealed; seq < p.Until; seq++ {
		a.del(leaves, key(log, number(seq)))
		first := uint64(tlog.StoredHashIndex(0, int64(seq)))
		for level := range min(bits.TrailingZeros64(seq+1)+1, segment.Height) {
			a.del(hashes, key(log, number(first+uint64(level))))
		}
	}
	head.Sealed = p.Until
	if err := a.store(heads, key(log), head); err != nil || p.Until < end {
		return err
	}
	_, err = a.append(audit.System, &command.Event{
		Id: a.derived(0), Action: string(audit.LogSegmentSeal), ObjectType: "log", ObjectId: p.Log, Result: string(audit.OK),
		Facts: map[string]string{"origin": name, "segment": strconv.FormatUint(n, 10), "root": root.String()},
	})
	return err
}

// leafOf reads the leaves of a log that are in the state.
func (a *apply) leafOf(log string) segment.Source {
	return func(seq int64) ([]byte, error) {
		b := a.get(leaves, key(log, number(uint64(seq))))
		if b == nil {
			return nil, fmt.Errorf("%w: leaf %d of log %s is missing", ErrUnusable, seq, log)
		}
		return b, nil
	}
}

// maxCosigned signatures under one checkpoint: a note has a hundred at most, and
// the log's own are among them.
const maxCosigned = 32

// cosign keeps a witness's signature under a checkpoint of the command's log.
// Who proposes it has verified it.
func (a *apply) cosign(c *command.Cosignature) error {
	log := logRow(a, a.log())
	head, err := load[command.Head](a, heads, key(log))
	if err != nil || c.GetSize() == 0 || c.Size > head.Size || c.Witness == "" || c.Line == "" {
		return refuse(Malformed)
	}
	k := cosignature(log, c)
	if a.get(cosignatures, k) != nil {
		return refuse(Exists)
	}
	n := 0
	a.scan(cosignatures, key(log, number(c.Size)), nil, func(_, _ []byte) bool {
		n++
		return n < maxCosigned
	})
	if n == maxCosigned {
		return refuse(Cosigned)
	}
	a.answer.Id = c.Witness
	return a.store(cosignatures, k, c)
}

// cosignature is the key of its row: the log's, size ‖ SHA-256 of the witness's key.
func cosignature(log string, c *command.Cosignature) []byte {
	witness := sha256.Sum256([]byte(c.Witness))
	return key(log, number(c.Size)+string(witness[:]))
}
