// Package raftlog keeps the entries of a Raft log in files: one write and one
// fdatasync for each batch, where a B-tree needs several. FORMAT.md says what the
// files hold and what they ask of a disk.
//
// An entry whose StoreLogs has returned is there after a power cut, and one whose
// DeleteRange has returned never stands where another was stored since. The
// package must never try again after a write or sync that failed, never give out
// an entry that does not verify, and never cut more than the one batch that a
// crash can tear. It knows neither term and vote nor what an entry means.
package raftlog
