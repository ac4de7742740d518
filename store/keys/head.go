package keys

import (
	"bytes"
	"fmt"
)

// head is what a key-ring's file and a hand-over begin with, in the clear:
// magic, format, the cluster's length and name.
func head(magic string, format byte, cluster string) []byte {
	return append(append([]byte(magic), format, byte(len(cluster))), cluster...)
}

// cutHead checks the head and gives what follows it.
func cutHead(what, magic string, format byte, data []byte, cluster string) (rest []byte, err error) {
	rest, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok || len(rest) < 2 {
		return nil, fmt.Errorf("%s %w: it does not start with %s", what, ErrFormat, magic)
	}
	if rest[0] != format {
		return nil, fmt.Errorf("%s of format %d %w: it reads %d", what, rest[0], ErrFormat, format)
	}
	n := int(rest[1])
	if rest = rest[2:]; len(rest) < n {
		return nil, fmt.Errorf("%s %w: it ends early", what, ErrFormat)
	}
	if name := string(rest[:n]); name != cluster {
		return nil, fmt.Errorf("%s of %.64q %w", what, name, ErrCluster)
	}
	return rest[n:], nil
}
