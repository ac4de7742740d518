// Package siege holds three real nodes, each on a machine of the lab, under
// faults: round after round real verifications and light writes go to all of
// them, something is broken, it is healed, and then everything that was
// acknowledged is held against every node.
//
// It must never call a round good of which not everything was checked, nor
// break anything but the lab's own machines.
package siege
