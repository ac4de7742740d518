// Package bundle makes and verifies the auditor's bundle (.ekab): every leaf of
// an audit log between two signed checkpoints, with all that a stranger needs to
// see that none is missing and none was altered, in one plain tar.
//
// Verify reads a bundle once, as a stream, in memory that does not grow with it.
// It must never trust a key, a size or a claim that the bundle brings along: the
// auditor's policy and state are all it starts from. Export must never write
// bytes that differ from those it has hashed.
package bundle
