package siege_test

import (
	"crypto/rand"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/cmd/chaos/siege"
)

// A witness signs beside the log, and is none of its keys.
func TestWhoSignsALog(t *testing.T) {
	var signers []note.Signer
	for _, name := range []string{"log.example/a", "log.example/a", "witness.example"} {
		private, _, err := note.GenerateKey(rand.Reader, name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := note.NewSigner(private)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, s)
	}
	text := &note.Note{Text: "log.example/a\n7\nAAAA\n"}
	for _, c := range []struct {
		sign []note.Signer
		want []uint32
	}{
		{signers[:1], []uint32{signers[0].KeyHash()}},
		{signers, []uint32{signers[0].KeyHash(), signers[1].KeyHash()}},
		{signers[2:], nil},
	} {
		signed, err := note.Sign(text, c.sign...)
		if err != nil {
			t.Fatal(err)
		}
		if got := siege.Signers(signed); !slices.Equal(got, c.want) {
			t.Errorf("%08x, and not %08x", got, c.want)
		}
	}
	if got := siege.Signers([]byte("no note")); len(got) > 0 {
		t.Errorf("%08x", got)
	}
}
