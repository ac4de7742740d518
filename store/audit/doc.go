// Package audit defines what an audit log holds and how it is proved: the leaf
// (one event, as canonical JSON), commitments to personal data, the RFC 6962
// tree over the leaves, signed checkpoints of the tree, and proofs that a
// stranger can check with pinned keys alone.
//
// All but Signer are pure functions of their arguments, fit for the state
// machine. They must never read a clock, a random source or a file, nor depend
// on the order of a map. A leaf must never hold personal data or free text in
// the clear, and the Signer must never sign two trees of one log that do not
// extend each other.
package audit
