// Package history records what clients asked of a cluster and what they were
// told, and checks whether one node that never fails could have answered so:
// linearizability of each session, with porcupine, and a few plain rules that
// need no search.
//
// A session is one partition, named by the idempotency key that creates it. Its
// model (model.go) knows no more than the contract: states go forward, a
// revision never goes back, a decision never changes, one key has one answer.
// What the cluster does by itself, as deciding and expiring, may have happened
// at any time before it is seen.
//
// A call without an answer may have had its effect at any time after it was
// made, or never. The package must never take such a call for one that was
// refused, nor say that a history is good which it could not search through.
package history
