package state

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/command"
)

// An audit log has epochs: what follows a recovery or a restore is a log of its
// own, with another origin, as it may contradict what was signed before. Its rows
// are named <log> in the first epoch, as they always were, and <log>/e<epoch> in
// later ones. Who names a log without an epoch means the present one.

// InEpoch names a log in an epoch, for Log and Head.
func InEpoch(log string, epoch uint64) string { return fmt.Sprintf("%s/e%d", log, epoch) }

// rowOf a log in an epoch.
func rowOf(log string, epoch uint64) string {
	if epoch <= 1 {
		return log
	}
	return InEpoch(log, epoch)
}

// ofRow is what rowOf was given.
func ofRow(row string) (log string, epoch uint64, ok bool) {
	log, after, later := strings.Cut(row, "/e")
	if !later {
		return row, 1, true
	}
	epoch, err := strconv.ParseUint(after, 10, 63)
	return log, epoch, err == nil && row == InEpoch(log, epoch)
}

// logRow of the log that somebody names: its present epoch, or the one in the name.
func logRow(r reader, log string) string {
	if !strings.Contains(log, "/") {
		return rowOf(log, number64(r, metaEpoch))
	}
	name, epoch, _ := ofRow(log) // where it is no name there is no row either
	return rowOf(name, epoch)
}

// origin names the log of a row for all time.
func origin(r reader, row string) (string, error) {
	f, err := load[command.Found](r, meta, metaFound)
	if err != nil {
		return "", fmt.Errorf("%w: the cluster was not founded", ErrUnusable)
	}
	log, epoch, ok := ofRow(row)
	name, err := audit.Origin(f.Cluster, log, int64(epoch))
	if err != nil || !ok {
		return "", fmt.Errorf("%w: the log %.100q: %w", ErrUnusable, row, err)
	}
	return name, nil
}

// startEpoch closes all logs. The first leaf of each that goes on says where it
// stood. From then on no member of an earlier release can go on.
func (a *apply) startEpoch(p *command.StartEpoch) error {
	epoch := number64(a, metaEpoch)
	if a.Tenant != "" || p.Epoch != epoch+1 || p.Reason == "" {
		return refuse(Malformed)
	}
	beyond := map[string]*command.Signed{}
	for _, s := range p.Beyond {
		if _, err := tlog.ParseHash(s.Root); err != nil || beyond[s.Log] != nil {
			return refuse(Malformed)
		}
		beyond[s.Log] = s
	}
	logs := []string{audit.System}
	a.scan(tenants, nil, nil, func(k, _ []byte) bool {
		logs = append(logs, string(k))
		return true
	})
	a.put(meta, metaEpoch, binary.BigEndian.AppendUint64(nil, p.Epoch))
	if err := a.raise(command.Since(a.Type)); err != nil {
		return err
	}
	for i, log := range logs {
		if err := a.goOn(log, rowOf(log, epoch), p.Reason, beyond[log], uint64(i)); err != nil {
			return err
		}
	}
	a.answer.Id = strconv.FormatUint(p.Epoch, 10)
	return nil
}

// raise the active version: who goes on must know it.
func (a *apply) raise(version uint32) error {
	a.put(meta, metaVersion, binary.BigEndian.AppendUint64(nil, max(number64(a, metaVersion), uint64(version))))
	present, err := a.present()
	for _, m := range present {
		if m.Commands < version && err == nil {
			m.Commands = version
			err = a.store(members, key(m.Id), m)
		}
	}
	return err
}

// goOn with a log whose row is closed. One without events has nothing to say.
func (a *apply) goOn(log, closed, reason string, beyond *command.Signed, n uint64) error {
	if a.get(heads, key(closed)) == nil && beyond == nil {
		return nil
	}
	before, err := origin(a, closed)
	if err != nil {
		return err
	}
	facts := map[string]string{"origin": before, "size": "0"}
	if a.get(heads, key(closed)) != nil {
		head, err := load[command.Head](a, heads, key(closed))
		if err != nil {
			return err
		}
		root, err := audit.Root(int64(head.Size), hashesOf(a, closed))
		if err != nil {
			return fmt.Errorf("%w: audit log %s: %v", ErrUnusable, closed, err)
		}
		facts["size"], facts["root"] = strconv.FormatUint(head.Size, 10), root.String()
	}
	if beyond != nil {
		facts["signed_size"], facts["signed_root"] = strconv.FormatUint(beyond.Size, 10), beyond.Root
	}
	_, err = a.append(log, &command.Event{Id: a.derived(n), Action: string(audit.LogEpochStart), ObjectType: "log", ObjectId: log,
		Result: string(audit.OK), Reason: reason, Facts: facts})
	return err
}

// Epoch of the audit logs.
func (v *View) Epoch() uint64 { return number64(v, metaEpoch) }

// Logs of the cluster in their present epoch: the system's and each tenant's.
func (v *View) Logs() ([]string, error) {
	logs := []string{audit.System}
	all, err := v.Tenants()
	for _, t := range all {
		logs = append(logs, t.Id)
	}
	return logs, err
}

// EveryLog is Logs, and behind them those of earlier epochs that have events.
func (v *View) EveryLog() ([]string, error) {
	logs, err := v.Logs()
	if err != nil {
		return nil, err
	}
	all := logs
	for epoch := uint64(1); epoch < v.Epoch(); epoch++ {
		for _, log := range logs {
			if v.get(heads, key(rowOf(log, epoch))) != nil {
				all = append(all, InEpoch(log, epoch))
			}
		}
	}
	return all, nil
}
