//go:build !race

package enginetest

// RaceDetector says whether this is a race build, in which loops over pixels
// take ten times as long.
const RaceDetector = false
