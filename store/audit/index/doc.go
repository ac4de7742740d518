// Package index finds the leaves of an audit log by session, subject, actor,
// action, object and time: one index for each segment of a log, in memory while
// it grows (Builder) and in one small file afterwards.
//
// An index is made of the leaves alone, can be made again at any time, and is
// never trusted: whoever shows a leaf that was found here verifies it against the
// log, and compares the field that was sought, for a Term is only a digest of its
// value. The package must never give fewer leaves than there are because a file
// is damaged: that is an error.
package index
