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
