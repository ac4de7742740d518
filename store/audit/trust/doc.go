// Package trust holds what an auditor trusts of audit logs (Policy), what he
// remembers of them (Memory), what he gives back as a witness (Witness) and what
// he shows to others when a log has lied (Evidence).
//
// It must never take a key from what it verifies: only pinned keys count. All
// but the reading and writing of Memory are pure functions of their arguments.
package trust
