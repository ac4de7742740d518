//go:build !race

package raftlog_test

const stride = 1
