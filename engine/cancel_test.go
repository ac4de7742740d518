package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatehouse/engine"
	"gatehouse/engine/document"
	"gatehouse/engine/enginetest"
	"gatehouse/engine/onnx"
	"gatehouse/engine/picture"
)

// prompt is how soon a cancelled call must be back, and wide how wide a picture
// it is cancelled on: 11 megapixels, or 3 under the race detector, which makes
// loops over pixels ten times as slow.
var prompt, wide = 300 * time.Millisecond, 4000

func init() {
	if enginetest.RaceDetector {
		prompt, wide = 3*time.Second, 2000
	}
}

// afterCancel cancels work so long after its start and gives how long it took
// to return from then: the best of three tries, the machine being shared. 0
// where it was done before.
func afterCancel(t *testing.T, delay time.Duration, work func(context.Context) error) time.Duration {
	t.Helper()
	best := time.Hour
	for range 3 {
		ctx, cancel := context.WithCancel(context.Background())
		var at time.Time
		told := make(chan struct{})
		timer := time.AfterFunc(delay, func() {
			at = time.Now()
			cancel()
			close(told)
		})
		err := work(ctx)
		end := time.Now()
		if timer.Stop() {
			cancel()
			if err != nil {
				t.Errorf("not cancelled, and %v", err)
			}
			return 0
		}
		<-told
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %v: %v", delay, err)
		}
		best = min(best, max(0, end.Sub(at)))
		if best <= prompt {
			break
		}
	}
	return best
}

func TestCancelled(t *testing.T) {
	e := enginetest.Open(t)
	if err := e.Warm(); err != nil {
		t.Fatal(err)
	}
	big, blank := scaled(passport(t).Image, wide), picture.New(wide, wide*3/4)
	found, err := e.Faces.Detect(t.Context(), big)
	if err != nil || len(found) == 0 {
		t.Fatalf("%d faces, %v", len(found), err)
	}
	delays := []time.Duration{5, 20, 60, 150, 400}
	if testing.Short() {
		delays = []time.Duration{5, 60, 400}
	}
	for _, c := range []struct {
		name string
		work func(context.Context) error
	}{
		{"read", func(ctx context.Context) error {
			d, err := e.Documents.Read(ctx, big, document.Options{Today: today, Text: document.TextAlways})
			if err == nil && (d.MRZ == nil || len(d.Text) == 0) {
				t.Errorf("half a reading without an error: %+v", d)
			}
			return err
		}},
		{"detect", func(ctx context.Context) error {
			f, err := e.Faces.Detect(ctx, big)
			if err == nil && len(f) == 0 {
				t.Error("no face and no error")
			}
			return err
		}},
		{"detect in vain", func(ctx context.Context) error { _, err := e.Faces.Detect(ctx, blank); return err }},
		{"embed", func(ctx context.Context) error {
			v, err := e.Faces.Embed(ctx, big, &found[0])
			if err == nil && len(v.Vector) == 0 {
				t.Error("no template and no error")
			}
			return err
		}},
		{"quality", func(ctx context.Context) error { _, err := e.Faces.Quality(ctx, big, &found[0]); return err }},
		{"liveness", func(ctx context.Context) error { _, err := e.Faces.Liveness(ctx, big, &found[0]); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, delay := range delays {
				delay *= time.Millisecond
				took := afterCancel(t, delay, c.work)
				t.Logf("cancelled after %v: back in %v", delay, took.Round(time.Millisecond/10))
				if took > prompt {
					t.Errorf("cancelled after %v it came back %v later, at most %v is allowed", delay, took, prompt)
				}
			}
			if err := c.work(context.Background()); err != nil {
				t.Errorf("after cancelled calls the engine says %v", err)
			}
		})
	}
}

// With every worker busy, who is told to go goes.
func TestCancelledBehindBusyWorkers(t *testing.T) {
	c := engine.Config{Runtime: enginetest.Runtime(t), Pack: enginetest.Pack(t)}
	c.Runtime.Workers = 2
	e, err := engine.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	jpeg := enginetest.Asset(t, "samples/obama.jpg")
	p := scaled(sample(t, "obama"), 300)
	found, err := e.Faces.Detect(t.Context(), p)
	if err != nil || len(found) == 0 {
		t.Fatalf("%d faces, %v", len(found), err)
	}
	inside, leave, held := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	for _, n := range e.Networks()[:2] {
		go func() {
			held <- n.Feed(context.Background(), n.Target, 1, func(int, []float32) {}, func([]onnx.Output) error {
				inside <- struct{}{}
				<-leave
				return nil
			})
		}()
		<-inside
	}
	works := map[string]func(context.Context) error{
		"Decode": func(ctx context.Context) error { _, err := e.Decode(ctx, jpeg); return err },
		"Detect": func(ctx context.Context) error { _, err := e.Faces.Detect(ctx, p); return err },
		"Embed":  func(ctx context.Context) error { _, err := e.Faces.Embed(ctx, p, &found[0]); return err },
		"Read": func(ctx context.Context) error {
			_, err := e.Documents.Read(ctx, p, document.Options{Today: today, Text: document.TextAlways})
			return err
		},
	}
	for name, work := range works {
		took := afterCancel(t, 30*time.Millisecond, func(ctx context.Context) error {
			err := work(ctx)
			if err == nil {
				t.Errorf("%s ran without a worker", name)
			}
			return err
		})
		if took > prompt {
			t.Errorf("%s waited for %v after it was cancelled", name, took)
		}
	}
	close(leave)
	if err := errors.Join(<-held, <-held); err != nil {
		t.Error(err)
	}
	for name, work := range works {
		if err := work(context.Background()); err != nil {
			t.Errorf("%s, the workers being free again: %v", name, err)
		}
	}
}
