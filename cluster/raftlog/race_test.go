//go:build race

package raftlog_test

// stride at which the power is cut: the race detector makes each opening ten times
// as slow.
const stride = 7
