package main

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"gatehouse/cmd/chaos/siege"
)

// page tells what a run has found.
func page(r *siege.Report) []byte {
	var b bytes.Buffer
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# Reliability\n")
	say("Written by `make chaos`; do not edit it. Measured on %s, on %d cores of one machine, which three nodes, their clients and their disks share: times are those of an overloaded server. `go run ./cmd/chaos three --seed %d` runs the same faults again.\n",
		r.Began.UTC().Format("2006-01-02"), runtime.NumCPU(), r.Seed)
	writes, verified := 0, 0
	for _, one := range r.Rounds {
		writes, verified = writes+one.Writes, verified+one.Verified
	}
	say("Three nodes of the real program, each in its own network namespace with its own ext4, formed by invitation. It is built with the tag `killpoints`: it dies at named points of its work where it is told to, and its log forgets so soon that who is away for fifteen seconds is sent the state. Each round breaks something for some seconds while sessions are begun every 50 ms and persons are verified at all nodes; then everything is healed, and every node is held against what was acknowledged.\n")
	say("%d rounds in %.0f minutes: %d sessions and %d verifications acknowledged, %d answers read back from the nodes, %d events of audit logs hashed, %d pictures compared byte by byte, %d MiB of disks searched for plain text. **Violations: %d.**\n",
		len(r.Rounds), r.Took.Minutes(), writes, verified, r.Checked, r.Events, r.Shown, r.Scanned>>20, r.Count())
	say("| nemesis | runs | violations | no write for, s: p50 | p99 | max | whole again after, s: p50 | max | without a decision | ended by itself |")
	say("|---|---:|---:|---:|---:|---:|---:|---:|---:|---|")
	for _, row := range r.Rows() {
		say("| %s | %d | %d | %.2f | %.2f | %.2f | %.1f | %.1f | %d | %s |", row.Nemesis, row.Runs, row.Violations,
			row.Gap(0.5).Seconds(), row.Gap(0.99).Seconds(), row.Gap(1).Seconds(), row.Return(0.5).Seconds(), row.Return(1).Seconds(), row.Failed, codes(row.Exits))
	}
	say("\nNo write for: the longest time of a round without an acknowledged write at any node. Whole again: after the fault was healed, until every node said that all are up and vote. Without a decision: verifications that failed or expired; their callers were told. Ended by itself: a node whose disk hangs or is full ends with code 11 or 10, and is started again a second later.\n")
	say("kill-blob: a picture is durable here, or on another node as well, and no command names it. kill-agreed: a command is in the state, and who sent it has no answer. kill-applying: an entry's rows are written, its index is not. key-change: the key that signs the audit logs is replaced, or its predecessor ended, while a node dies at a point of that (the others keep the new key-ring; it is agreed on; it is on this disk) or is killed, paused or cut off. install: a node was away for so long that it is sent the state, and dies when that is whole or when its snapshot is durable; or it, or the leader that sends it, is killed, paused or cut off in the middle, over a slow link (where it is the leader, two of three are away).\n")
	say("Checked after each round: every acknowledged answer against every node; linearizability of each session (porcupine); one effect for each idempotency key; the state's hash on all nodes at one index; both audit logs, all leaves hashed anew and every head extending the ones before, the same on all nodes, with one event for each acknowledged change, signed by the keys that should; pictures from each node. Checked at the end of each cluster: galleries against the templates, `gatehouse data check` on each node, names, pictures and keys in plain on any disk.\n")
	if found := r.Violations(); len(found) > 0 {
		say("## Found\n")
		for _, one := range r.Rounds {
			for _, v := range one.Violations {
				say("- round %d, %s: %.400s", one.Number, one.Nemesis, strings.ReplaceAll(v.String(), "\n", " "))
			}
		}
		say("")
	}
	say("## Not tested here\n")
	for _, skipped := range r.Skipped {
		say("- %s: %v", skipped.Nemesis, skipped.Why)
	}
	say("- A power cut that loses what was written and not synced: a killed process leaves it in the page cache. The log's own tests cut it at every byte.")
	say("- Machines that are really apart: all share one kernel, one disk and one clock.")
	return b.Bytes()
}

func codes(exits map[int]int) string {
	var all []string
	for _, code := range slices.Sorted(maps.Keys(exits)) {
		all = append(all, fmt.Sprintf("%d× code %d", exits[code], code))
	}
	return strings.Join(all, ", ")
}
