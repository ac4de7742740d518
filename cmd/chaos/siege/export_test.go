package siege

// Search is what looks for secrets on a disk.
func Search(path string, secrets ...string) (read, at int64, err error) {
	var all [][]byte
	for _, s := range secrets {
		all = append(all, []byte(s))
	}
	return search(path, all)
}

const Piece = piece

// Signers are the hashes of a log's own keys that signed a head of it.
func Signers(signed []byte) (hashes []uint32) {
	for _, s := range signatures(signed) {
		hashes = append(hashes, s.Hash)
	}
	return hashes
}
