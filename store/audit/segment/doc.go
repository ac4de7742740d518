// Package segment keeps the old leaves of audit logs in files. Segment n of a
// log holds its leaves n<<16 to (n+1)<<16, a perfect subtree of the log, and is
// one file that never changes once it is there.
//
// The file is zstd in many frames; unpacked it is one tar of C2SP tlog-tiles
// files: tile/entries (256 bundles of 256 leaves), tile/0 (their hashes) and
// tile/1 (the hashes of those tiles). So `zstd -dc FILE | tar x` of all segments
// gives a log that any tlog-tiles client reads, once a checkpoint and the tiles
// above level 1 are laid beside it. Each file of the tar is a frame of its own,
// which a seek table (zstd's seekable format) finds without reading the others:
//
//	skippable frame 0x184D2A50   header: GHSEG, format, segment, root, origin, SHA-256 of these
//	513 frames                   one for each file of the tar
//	skippable frame 0x184D2A51   GHSUM, format, SHA-256 of all bytes before this frame
//	skippable frame 0x184D2A5E   seek table
//
// A file is data from outside: whatever it holds, nothing is given out that does
// not hash to the root that the caller knows, and no size in it is believed
// before it is checked. The package must never leave half a file under the name
// that is read, and a Store never overwrites a whole segment of another root.
package segment
