// Package disk makes small changes to a local file system that survive a power
// cut: whole-file writes, new folders, a lock of one process. It must never
// retry a failed fsync (the pages it covered may be lost) nor leave half a file
// under the name that a reader opens.
//
// It assumes of the file system that rename within a folder is atomic and that
// fsync of a file and of its folder makes both durable (ext4, xfs).
package disk
