package main

import (
	"bytes"
	"testing"

	"gatehouse/engine/document/mrz"
	"gatehouse/engine/picture"
)

func TestDistance(t *testing.T) {
	for _, k := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"ABC", "ABC", 0}, {"ABC", "", 3}, {"", "ABC", 3}, {"ABC", "AXC", 1}, {"ABC", "AC", 1}, {"ABC", "XABC", 1}, {"KITTEN", "SITTING", 3}, {"ID<<", "IO<", 2}} {
		if got := distance(k.a, k.b); got != k.want {
			t.Errorf("%q, %q: %d, want %d", k.a, k.b, got, k.want)
		}
	}
}

func TestBordered(t *testing.T) {
	for _, background := range []byte{0, 255} {
		p := picture.New(40, 20)
		for i := range p.Pix {
			p.Pix[i] = background
		}
		for c := range 3 { // a speck in the corner, text in the middle
			p.Pix[c] = 255 - background
			p.Pix[3*(10*40+20)+c] = 255 - background
		}
		got := bordered(p)
		if got.Width != 44 || got.Height != 24 {
			t.Fatalf("%d×%d", got.Width, got.Height)
		}
		want := bytes.Repeat([]byte{background}, len(got.Pix))
		for c := range 3 {
			want[3*(2*44+2)+c] = 255 - background
			want[3*(12*44+22)+c] = 255 - background
		}
		if !bytes.Equal(got.Pix, want) {
			t.Errorf("background %d: wrong pixels", background)
		}
	}
}

func TestTally(t *testing.T) {
	truth := []string{"AB", "CD"}
	var sum tally
	for _, m := range []*mrz.Reading{
		nil,
		{Lines: []string{"AB", "CD"}, Valid: true, Trusted: true},
		{Lines: []string{"AB", "CD"}},
		{Lines: []string{"A8", "CD"}, Valid: true, Trusted: true},
		{Lines: []string{"AB"}, Valid: true},
	} {
		sum.add(judge(m, truth))
	}
	if want := (tally{found: 4, right: 2, valid: 3, trusted: 2, trustedWrong: 1}); sum != want {
		t.Errorf("%+v, want %+v", sum, want)
	}
}

func TestCompareLines(t *testing.T) {
	all := []photograph{{file: "a", lines: []string{"AB", "CD"}}, {file: "b", lines: []string{"EF"}}}
	right, lines, cpu := compareLines(all, []peerReading{{[]string{"A B", "CX"}, 10}, {[]string{"noise", "EF"}, 20}})
	if right != 1 || lines != "2 of 3" || cpu != 15 {
		t.Errorf("%d, %s, %g", right, lines, cpu)
	}
}
