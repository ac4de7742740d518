// Package keys holds every key of a cluster: the slots that open its seal, the
// key-ring, and the keys of tenants and subjects below it. DESIGN.md draws the
// hierarchy and says why.
//
// It must never let a key leave, other than an object key for store/blob: not
// in an error, a log, a printed struct or a file in the clear. Between nodes of
// one cluster the key-ring's file goes as it is on disk, sealed by the root key,
// and the root key goes to a node that joins, sealed to that node's Receiver.
// Neither goes anywhere else, and nothing of them into the Raft log: erasure keys
// leave their key-ring in no form at all, or what was erased could come back
// with a backup. A sealed store uses no key: it says that it is sealed, and keeps
// files that others sealed.
package keys
