package main

import (
	"fmt"
	"strconv"

	"gatehouse/engine/pack"
)

// span is a mean over the splits and its deviation, in units of a share.
func span(all []rates, of func(*rates) float64, units float64, digits int) string {
	mean, deviation := spread(all, of)
	return strconv.FormatFloat(units*mean, 'f', digits, 64) + " ± " + strconv.FormatFloat(units*deviation, 'f', digits, 64)
}

// who is enrolled, and who is searched for.
func (o *openSet) who() {
	d, one := o.division, o.splits[0]
	t := table{title: "One face among many, who is who", head: []string{"people of LFW", "number", "enrolled", "searched for"},
		note: fmt.Sprintf("Those with one crop are halved once. All else is drawn anew in each of %d seeded splits: who of those with several is enrolled, with which crop, and with which other each is searched for.\n"+
			"Below, ± is the deviation of the splits. Crops are aligned already. The engine is exact where none is named. Command: `go run ./cmd/eval accuracy --only faces`.", len(o.splits))}
	for _, r := range []struct {
		name               string
		number             int
		enrolled, searched string
	}{
		{"several crops, half of them", one.mates(), "one crop", "another crop: found, or missed"},
		{"several crops, the others", len(d.people) - one.mates(), "no", "one crop, as strangers"},
		{"one crop, half of them", len(d.fillers), "that crop", "no"},
		{"one crop, the others", len(d.loners), "no", "that crop, as strangers"},
	} {
		t.add(r.name, strconv.Itoa(r.number), r.enrolled, r.searched)
	}
	o.table(t)
}

// atDefault is what a bank gets that changes nothing.
func (o *openSet) atDefault(all []*size) {
	t := table{title: "One face among many", head: []string{"faces enrolled", "default threshold", "new customers sent to a human, of 1,000", "known faces missed, of 100"},
		note: "A new customer is compared with all who are enrolled. One who is none of them and is named as somebody all the same goes to a human for nothing (FPIR).\n" +
			"One who is enrolled and comes again under another name, with another picture, is missed where the search does not put that face first, at or above the threshold (FNIR).\n" +
			"The product sets its threshold for an FPIR of at most 1 %, by the pack's calibration and the number enrolled: it rises with the gallery, and more is missed. Extrapolated: above what the calibration measured.\n" +
			"Limits: LFW is of press photographs, not of selfies and documents; the pack was calibrated on these same crops; invented faces are easier to tell from real people than other real people are (last of these tables)."}
	for _, z := range all {
		t.add(z.name(), z.at(), span(z.rates, promisedFPIR, 1000, 1), span(z.rates, promisedFNIR, 100, 1))
	}
	o.table(t)
}

// atOthers is what a search gets that asks for another FPIR.
func (o *openSet) atOthers(some ...*size) {
	t := table{title: "One face among many, by the FPIR that is asked for", head: []string{"faces enrolled", "FPIR asked for", "threshold", "new customers sent to a human, of 1,000", "known faces missed, of 100"},
		note: "Where people can look at more, fewer are missed. What is promised is an upper bound: the calibration has a safety factor, among its rarest rates are pairs that LFW labels wrongly, and beyond them it goes on in a line.\n" +
			"What also helps, not measured here: a session that says whose it is (subject_ref), for a customer's own faces are left out of the search; sharp pictures from the front;\n" +
			"a check of the document's number against the bank's own records, which no threshold weakens; a stronger model pack."}
	for _, z := range some {
		for _, p := range append([]promise{z.promise}, z.others...) {
			t.add(z.name(), fmt.Sprintf("%g %%", 100*p.target), p.at(), span(p.rates, promisedFPIR, 1000, 1), span(p.rates, promisedFNIR, 100, 1))
		}
	}
	o.table(t)
}

// atMeasured is what the templates can do where the threshold fits the people.
func (o *openSet) atMeasured(all []*size) {
	pairs, twins := o.alike(all[0].threshold)
	t := table{title: "One face among many, thresholds fitted to these searches", head: []string{"faces enrolled", "threshold", "FNIR % at FPIR 1 %", "threshold", "FNIR % at FPIR 0.1 %"},
		note: fmt.Sprintf("The threshold of each split is the least at which no more than this share of its searches for strangers names anybody: %d and %d of %d searches.\n"+
			"It is fitted to the same searches that it is judged by, as no threshold in use can be.\n"+
			"Wrong labels of LFW are not corrected. At the default threshold for %d faces the searches for strangers of all splits named %d pairs of people; %d of the pairs are more alike than half of the people enrolled are\n"+
			"to themselves: by their names most are one person spelt twice. They set the threshold for an FPIR of 0.1 %%, whose FNIR tells of LFW's labels and not of the pack; they raise that for 1 %% too.",
			len(o.splits[0].strangers)/100, len(o.splits[0].strangers)/1000, len(o.splits[0].strangers), all[0].enrolled(), pairs, twins)}
	for _, z := range all {
		t.add(z.name(), span(z.rates, thresholdAt1, 1, 4), span(z.rates, fnirAt1, 100, 1), span(z.rates, thresholdAt01, 1, 4), span(z.rates, fnirAt01, 100, 1))
	}
	o.table(t)
}

// engines compares the graph with the exact engine.
func (o *openSet) engines(w *walked) {
	t := table{title: "One face among many, exact and graph", head: []string{"faces enrolled", "engine", "known faces found first, of those that the exact engine found", "same first face, all searches", "FNIR % at FPIR 1 %", "FNIR % at the default threshold"},
		note: fmt.Sprintf("Graphs at their default effort. Above: all %d splits together. Below: the first split, with %d invented faces.", len(o.splits), w.enrolled-len(o.splits[0].enrolled))}
	row := func(enrolled int, engine string, mated, all string, at1, atDefault float64) {
		t.add(strconv.Itoa(enrolled), engine, mated, all, fmt.Sprintf("%.2f", 100*at1), fmt.Sprintf("%.2f", 100*atDefault))
	}
	var exact, graph [][]attempt
	same, asked := 0, 0
	for _, s := range o.splits {
		exact, graph = append(exact, s.exact), append(graph, s.graph)
		same, asked = same+s.same, asked+len(s.graph)
	}
	for _, k := range []struct {
		enrolled, mates int
		exact, graph    [][]attempt
		recall          float64
	}{
		{len(o.splits[0].enrolled), o.splits[0].mates(), exact, graph, float64(same) / float64(asked)},
		{w.enrolled, w.mates, [][]attempt{w.exact}, [][]attempt{w.graph}, w.recall},
	} {
		threshold, _ := o.match.Threshold(pack.DefaultFPIR, k.enrolled)
		var e, g rates
		for i := range k.exact {
			add(&e, rated(k.exact[i][:k.mates], k.exact[i][k.mates:], threshold), len(k.exact))
			add(&g, rated(k.graph[i][:k.mates], k.graph[i][k.mates:], threshold), len(k.exact))
		}
		row(k.enrolled, "exact", "–", "–", e.fnir1, e.fnir)
		row(k.enrolled, "graph", fmt.Sprintf("%.4f", foundToo(k.exact, k.graph, k.mates)), fmt.Sprintf("%.4f", k.recall), g.fnir1, g.fnir)
	}
	o.table(t)
}

// add one of so many to a mean.
func add(sum *rates, r rates, of int) {
	sum.fnir1 += r.fnir1 / float64(of)
	sum.fnir += r.fnir / float64(of)
}

// foundToo is the share of the people whom the exact engine put first that the
// graph put first too.
func foundToo(exact, graph [][]attempt, mates int) float64 {
	all, too := 0, 0
	for i := range exact {
		for j := range mates {
			if exact[i][j].right {
				all++
				if graph[i][j].right {
					too++
				}
			}
		}
	}
	return float64(too) / float64(all)
}

// What compares the crowd with real faces: 4 million pairs at least, so that 40
// or more lie above the rarest share.
const (
	comparedFaces = 4000
	comparedWith  = 2000
)

// compareCrowd shows how far the invented faces are like real ones. same is the
// size with as many invented faces as real ones.
func (o *openSet) compareCrowd(fillers [][]float32, plain *crowd, alone, same *size) {
	probes := o.vectors(o.splits[0].probes())
	invented, simple := newRows(comparedFaces+comparedWith, o.pictures.Dim), newRows(comparedFaces, o.pictures.Dim)
	o.crowd.invent(0, invented)
	plain.invent(0, simple)
	columns := []*histogram{
		likeness(probes, fillers), likeness(probes, invented[:comparedFaces]), likeness(invented[comparedFaces:], invented[:comparedFaces]), likeness(probes, simple),
	}
	t := table{title: "One face among many, invented faces beside real ones", head: []string{"share of pairs above", "real and real", "real and invented", "invented and invented", "real, and invented of one distribution"},
		note: fmt.Sprintf("Similarities of two people. Each invented face is drawn from a normal distribution with the mean and the covariance of %d real faces: one of the %d enrolled whom nobody searches for, and those of them that are most like it;\n"+
			"then each recogniser's part is brought to its length. No person who is searched for has a part in them. A single normal distribution (last column) has a thinner tail and is not used.\n"+
			"Invented faces are less like real ones than other real ones are, the more so the rarer the likeness. Where %d invented faces are searched alone, an FPIR of 1 %% needs a threshold of %.4f, among as many real ones, some with wrong labels, %.4f.\n"+
			"Expect a million real people to be harder than these: the rates with invented faces are the better end.\n"+
			"The real pairs here are %.1f million; nothing is known of what is rarer than one of them, and the search of a million depends on that.",
			len(o.crowd.near[0]), len(fillers), same.invented, same.crowdAt1, meanOf(alone.rates, thresholdAt1), float64(columns[0].total)/1e6)}
	for _, r := range []struct {
		name  string
		share float64
	}{{"1e-2", 1e-2}, {"1e-3", 1e-3}, {"1e-4", 1e-4}, {"1e-5", 1e-5}} {
		row := []string{r.name}
		for _, h := range columns {
			row = append(row, fmt.Sprintf("%.4f", h.threshold(r.share)))
		}
		t.add(row...)
	}
	o.table(t)
}
