// Package keys holds every key of a cluster: the slots that open its seal, the
// key-ring, and the keys of tenants and subjects below it. DESIGN.md draws the
// hierarchy and says why.
//
// It must never let a key leave, other than an object key for store/blob: not
// in an error, a log, a printed struct or a file in the clear. Erasure keys
// leave their key-ring in no form at all, or what was erased could come back
// with a backup. A sealed store does nothing but say so.
package keys
