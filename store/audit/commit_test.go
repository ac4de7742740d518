package audit_test

import (
	"errors"
	"testing"

	"gatehouse/store/audit"
)

func opening() audit.Opening {
	o := audit.Opening{Field: "document.number", Value: "L898902C3"}
	for i := range o.R {
		o.R[i] = byte(i)
	}
	return o
}

// The vector was made with Python's hmac and struct.
func TestCommitmentVector(t *testing.T) {
	c, err := opening().Commit("ten_b")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := c.MarshalText()
	const want = "c2f9caad409283dc8c543632c089d8e9b5a4632e11d5846cf2b7313974459b0a"
	if string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
	var back audit.Commitment
	if err := back.UnmarshalText(text); err != nil || back != c {
		t.Errorf("%v %v", back, err)
	}
}

func TestOnlyItsOpeningOpens(t *testing.T) {
	o := opening()
	c, err := o.Commit("ten_b")
	if err != nil || !o.Opens("ten_b", c) {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*audit.Opening){
		"field":          func(o *audit.Opening) { o.Field = "document.numbe" },
		"value":          func(o *audit.Opening) { o.Value = "L898902C4" },
		"no value":       func(o *audit.Opening) { o.Value = "" },
		"random value":   func(o *audit.Opening) { o.R[31] ^= 1 },
		"border shifted": func(o *audit.Opening) { o.Field, o.Value = o.Field+"L", o.Value[1:] },
		"R unset":        func(o *audit.Opening) { o.R = [32]byte{} },
	} {
		other := opening()
		change(&other)
		if other.Opens("ten_b", c) {
			t.Errorf("%s: it opens", name)
		}
	}
	if o.Opens("ten_c", c) {
		t.Error("another tenant's")
	}
	c[0] ^= 1
	if o.Opens("ten_b", c) {
		t.Error("another commitment")
	}
}

func TestOpeningWithoutRandomValue(t *testing.T) {
	o := opening()
	o.R = [32]byte{}
	c, err := o.Commit("ten_b")
	if c != (audit.Commitment{}) || !errors.Is(err, audit.ErrOpening) {
		t.Errorf("%v, %v", c, err)
	}
	if o.Opens("ten_b", c) {
		t.Error("an opening that was never filled opens an empty commitment")
	}
}
