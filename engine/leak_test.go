package engine_test

import (
	"testing"

	"gatehouse/engine"
	"gatehouse/engine/enginetest"
)

// Engines come and go and leave nothing behind.
func TestTwoHundredEngines(t *testing.T) {
	warmUp, rounds := 20, 200
	if testing.Short() {
		warmUp, rounds = 3, 10
	}
	c := engine.Config{Runtime: enginetest.Runtime(t), Pack: enginetest.Pack(t)}
	p := scaled(sample(t, "obama"), 300)
	round := func() {
		e, err := engine.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := look(t.Context(), e.Faces, p); err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	var before enginetest.Usage
	for i := range rounds {
		if i == warmUp {
			before = enginetest.Measure(t)
		}
		round()
	}
	before.Grown(t, 64<<20)
}
