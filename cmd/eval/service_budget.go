package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/engine"
	"gatehouse/engine/document"
)

// budgetStages are those of requirement 13.2 that exist, and 13.1's total, in
// milliseconds.
func budgetStages() []struct {
	name string
	goal float64
} {
	return []struct {
		name string
		goal float64
	}{{"ingest", 200}, {"face", 500}, {"document", 1000}, {"decision", 100}, {"server", 3000}}
}

func budgetFigures() []figure {
	var all []figure
	for _, st := range budgetStages() {
		all = append(all, info("p50_"+st.name+"_ms", "ms", 1), goal("p95_"+st.name+"_ms", "ms", 1, "<", st.goal))
	}
	for _, st := range budgetStages() {
		all = append(all, info("p50_"+st.name+"_saturated_ms", "ms", 1), info("p95_"+st.name+"_saturated_ms", "ms", 1))
	}
	return append(all, goal("steps_wall_over_slowest", "ratio", 3, "<", 1.2), info("steps_wall_over_slowest_alone", "ratio", 3))
}

// The stages of a verification's two sides, as appliance/verify times them:
// one after the other on a side, and together all of it.
func documentSide(ms map[string]float64) float64 {
	return ms["decode_document"] + ms["document"] + ms["portrait"]
}

func selfieSide(ms map[string]float64) float64 {
	return ms["decode_selfie"] + ms["face"] + ms["quality"] + ms["liveness"]
}

// spans are the times of verifications, in milliseconds.
type spans struct {
	mu     sync.Mutex
	stages map[string][]float64 // of each stage
	ratios []float64            // whole over the slower side
}

// budget takes the times of single verifications, one caller at first, then at
// saturation.
func (b *bench) budget(ctx context.Context) error {
	t := table{title: "Times of a verification, in ms", head: []string{"callers", "verifications", "stage", "p50", "p95", "goal of p95"},
		note: "Ingest is one PUT of a picture, at the caller. Face and document are their sides' stages together, decoding included. Decision is the\ncommit of decision, result and events, read off the node's histogram: between its edges the times are taken to be spread evenly.\nServer is from the first PUT to the decision, at the caller: requirement 13.1 counts it without the upload."}
	for _, at := range []struct {
		callers int
		suffix  string
	}{{1, ""}, {len(b.clients), "_saturated"}} {
		fmt.Fprintf(b.progress, "stages, %d caller(s)\n", at.callers)
		count := b.or(8, 40)
		if at.callers > 1 {
			count = b.or(3, 6) * at.callers
		}
		x, commits, err := b.singles(ctx, at.callers, count)
		if err != nil {
			return err
		}
		for _, st := range budgetStages() {
			p50, p95 := commits.quantile(0.5), commits.quantile(0.95)
			if st.name != "decision" {
				p50, p95 = percentile(x.stages[st.name], 50), percentile(x.stages[st.name], 95)
			}
			b.measure("p50_"+st.name+at.suffix+"_ms", p50)
			b.measure("p95_"+st.name+at.suffix+"_ms", p95)
			t.add(fmt.Sprint(at.callers), fmt.Sprint(count), st.name, fmt.Sprintf("%.1f", p50), fmt.Sprintf("%.1f", p95), yes(at.callers == 1, fmt.Sprintf("< %.0f", st.goal), "–"))
		}
		if at.callers == 1 {
			b.measure("steps_wall_over_slowest", median(x.ratios))
		}
	}
	b.table(t)
	return b.sides(ctx)
}

// singles runs verifications step by step, each caller one at a time.
func (b *bench) singles(ctx context.Context, callers, count int) (*spans, *buckets, error) {
	before, err := b.commits(ctx)
	if err != nil {
		return nil, nil, err
	}
	x := &spans{stages: map[string][]float64{}}
	free := make(chan int, callers) // callers that are idle
	for caller := range callers {
		free <- caller
	}
	err = each(ctx, b.progress, "verifications", count, callers, func(ctx context.Context, _ int) error {
		caller := <-free
		defer func() { free <- caller }()
		return b.single(ctx, caller, x)
	})
	if err != nil {
		return nil, nil, err
	}
	after, err := b.commits(ctx)
	if err != nil {
		return nil, nil, err
	}
	after.subtract(before)
	if after.count() != float64(count) {
		return nil, nil, fmt.Errorf("the node counts %.0f decisions, %d were made", after.count(), count)
	}
	return x, after, nil
}

// single is one verification, step by step.
func (b *bench) single(ctx context.Context, caller int, x *spans) error {
	c := b.clients[caller]
	made, err := c.CreateSession(ctx, "", sessionRequest())
	if err != nil {
		return err
	}
	begin := time.Now()
	var puts []float64
	for _, e := range []struct {
		slot api.Slot
		data []byte
	}{{api.SlotDocumentFront, b.in.evidence.Document}, {api.SlotSelfie, b.in.evidence.Selfie}} {
		p, err := pictureOf(e.data)
		if err != nil {
			return err
		}
		start := time.Now()
		if _, err := c.PutEvidence(ctx, made.Id, e.slot, p); err != nil {
			return err
		}
		puts = append(puts, milliseconds(time.Since(start)))
	}
	done, err := c.Submit(ctx, "", made.Id, decisionWait)
	whole := milliseconds(time.Since(begin))
	if err != nil {
		return err
	}
	if err := decided(done); err != nil {
		return err
	}
	ms := done.Decision.TimingsMs
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stages["ingest"] = append(x.stages["ingest"], puts...)
	x.stages["face"] = append(x.stages["face"], selfieSide(ms))
	x.stages["document"] = append(x.stages["document"], documentSide(ms))
	x.stages["server"] = append(x.stages["server"], whole)
	slower := max(selfieSide(ms), documentSide(ms))
	if slower <= 0 || ms["total"] < slower/2 {
		return fmt.Errorf("session %s has the timings %v: they cannot be", made.Id, ms)
	}
	x.ratios = append(x.ratios, ms["total"]/slower)
	return nil
}

// sides compares a whole verification with its slower side alone on an idle
// engine: the stage times cannot tell, as what waits for a worker counts there.
func (b *bench) sides(ctx context.Context) error {
	var whole, slower []float64
	for range b.or(3, 9) {
		w, err := wall(func() error { return b.in.check(ctx, b.engine) })
		if err != nil {
			return err
		}
		d, err := wall(func() error { return documentAlone(ctx, b.engine, b.in.evidence.Document) })
		if err != nil {
			return err
		}
		f, err := wall(func() error { return selfieAlone(ctx, b.engine, b.in.evidence.Selfie) })
		if err != nil {
			return err
		}
		whole, slower = append(whole, w), append(slower, max(d, f))
	}
	b.measure("steps_wall_over_slowest_alone", median(whole)/median(slower))
	return nil
}

func wall(f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return milliseconds(time.Since(start)), err
}

var errNoFace = errors.New("no face in a picture that has one")

func documentAlone(ctx context.Context, e *engine.Engine, data []byte) error {
	p, err := engine.Decode(ctx, data)
	if err != nil {
		return err
	}
	if _, err := e.Documents.Read(ctx, p, document.Options{Today: time.Now(), Text: document.TextInDoubt}); err != nil {
		return err
	}
	found, err := e.Faces.Detect(ctx, p)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errNoFace
	}
	_, err = e.Faces.Embed(ctx, p, &found[0])
	return err
}

func selfieAlone(ctx context.Context, e *engine.Engine, data []byte) error {
	p, err := engine.Decode(ctx, data)
	if err != nil {
		return err
	}
	found, err := e.Faces.Detect(ctx, p)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errNoFace
	}
	f := &found[0]
	if _, err := e.Faces.Embed(ctx, p, f); err != nil {
		return err
	}
	if _, err := e.Faces.Quality(ctx, p, f); err != nil {
		return err
	}
	_, err = e.Faces.Liveness(ctx, p, f)
	return err
}

// buckets are a histogram of Prometheus: how many were at most each edge, in seconds.
type buckets struct{ edges, upTo []float64 }

// commits reads the histogram of the decisions' commits.
func (b *bench) commits(ctx context.Context) (*buckets, error) {
	text, err := b.node.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	return readBuckets(string(text), `gatehouse_stage_seconds_bucket{stage="commit",le="`)
}

// readBuckets takes the lines that begin so, which stand in order.
func readBuckets(text, prefix string) (*buckets, error) {
	h := &buckets{}
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), prefix)
		if !ok {
			continue
		}
		edge, value, _ := strings.Cut(rest, `"} `)
		at, err := strconv.ParseFloat(edge, 64) // "+Inf" too
		n, err2 := strconv.ParseFloat(value, 64)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("/metrics: %q: %w", line, err)
		}
		h.edges, h.upTo = append(h.edges, at), append(h.upTo, n)
	}
	return h, nil
}

// subtract what was counted before.
func (h *buckets) subtract(before *buckets) {
	for i := range before.upTo {
		h.upTo[i] -= before.upTo[i]
	}
}

func (h *buckets) count() float64 {
	if len(h.upTo) == 0 {
		return 0
	}
	return h.upTo[len(h.upTo)-1]
}

// quantile in milliseconds: as if the times were spread evenly between two
// edges; those beyond the last edge count as infinite.
func (h *buckets) quantile(q float64) float64 {
	want, edge, below := q*h.count(), 0.0, 0.0
	for i, n := range h.upTo {
		if n >= want && n > below {
			if math.IsInf(h.edges[i], 1) {
				return math.Inf(1)
			}
			return 1000 * (edge + (h.edges[i]-edge)*(want-below)/(n-below))
		}
		edge, below = h.edges[i], n
	}
	return math.Inf(1)
}
