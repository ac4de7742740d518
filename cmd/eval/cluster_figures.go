package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// clusterMeasure of what was written.
type clusterMeasure struct {
	name, unit string
	digits     int
	of         func(wrote) float64
}

func clusterMeasures() []clusterMeasure {
	return []clusterMeasure{
		{"writes", "per_s", 0, rateOf},
		{"p99", "ms", 2, func(w wrote) float64 { return w.p99 }},
		{"cpu", "s_per_1000_writes", 3, func(w wrote) float64 { return w.cpu }},
		{"bytes", "per_write", 0, func(w wrote) float64 { return w.written }},
	}
}

// clusterName of a figure: cluster_writes_16_etcd, cluster_writes_16_vs_etcd.
func (s *clusterRun) clusterName(m clusterMeasure, clients int, of string) string {
	return s.sized(fmt.Sprintf("%s_%d_%s", m.name, clients, of))
}

// sized names what is measured of clusters of this size.
func (s *clusterRun) sized(name string) string {
	if s.nodes == 1 {
		return "alone_" + name
	}
	return "cluster_" + name
}

// clusterFigures: those of each, and ours over the others'.
func (s *clusterRun) clusterFigures() (all []figure) {
	for _, m := range clusterMeasures() {
		for _, n := range writeClients() {
			for _, v := range s.rivals {
				all = append(all, info(s.clusterName(m, n, v.name), m.unit, m.digits))
			}
			for _, v := range s.rivals[1:] {
				name := s.clusterName(m, n, "vs_"+v.name)
				f := info(name, "ratio", 2)
				if v.name == etcdName && s.nodes == clusterNodes {
					switch {
					case m.name == "writes" && n == 1:
						f = goal(name, "ratio", 2, ">=", 0.9)
					case m.name == "writes":
						f = goal(name, "ratio", 2, ">=", 1)
					case m.name == "p99" && n == 64:
						f = goal(name, "ratio", 2, "<=", 1)
					}
				}
				all = append(all, f)
			}
		}
	}
	return append(all, info(s.sized("others_busy"), "%", 1))
}

// best setting of a rival: the one that writes most.
func (s *clusterRun) best(rival string, clients int) setting {
	return slices.MaxFunc(settingsOf(rival, clients), func(a, b setting) int {
		return int(s.median(a, rateOf) - s.median(b, rateOf))
	})
}

func settingsOf(rival string, clients int) (all []setting) {
	for _, procs := range procsTried() {
		all = append(all, setting{rival, procs, clients})
	}
	return all
}

func rateOf(w wrote) float64 { return w.rate }

func (s *clusterRun) median(at setting, of func(wrote) float64) float64 {
	var all []float64
	for _, w := range s.wrote[at] {
		all = append(all, of(w))
	}
	return median(all)
}

// ratio of ours to another's: the median over the rounds, in each of which the
// machine was about the same to both.
func (s *clusterRun) ratio(ours, other setting, of func(wrote) float64) float64 {
	var all []float64
	for i, w := range s.wrote[ours] {
		all = append(all, of(w)/of(s.wrote[other][i]))
	}
	return median(all)
}

// tell settles all figures and prints the tables.
func (s *clusterRun) tell(share float64) {
	s.settle()
	s.table(s.rates())
	if t := s.ratios(); len(t.rows) > 0 {
		s.table(t)
	}
	s.measure(s.sized("others_busy"), 100*share)
	if share > 0.05 {
		fmt.Fprintf(s.out, "Other programs used %.0f %% of the cores meanwhile: run it again when they are idle before you believe a rate; ratios suffer less.\n\n", 100*share)
	}
}

func (s *clusterRun) settle() {
	leave := func(name, because string) {
		f := s.find(name)
		f.status, f.because = skipped, because
	}
	ours := s.rivals[0]
	for _, m := range clusterMeasures() {
		for _, n := range writeClients() {
			for i, v := range s.rivals {
				alone, versus := s.clusterName(m, n, v.name), s.clusterName(m, n, "vs_"+v.name)
				if v.because != "" {
					leave(alone, v.because)
				} else {
					s.measure(alone, s.median(s.best(v.name, n), m.of))
				}
				switch {
				case i == 0:
				case v.because != "":
					leave(versus, v.because)
				default:
					r := s.ratio(s.best(ours.name, n), s.best(v.name, n), m.of)
					if math.IsNaN(r) || math.IsInf(r, 0) { // in memory nothing is written to a disk
						leave(versus, "nothing-to-compare-with")
						continue
					}
					s.measure(versus, r)
				}
			}
		}
	}
}

// rates is the table of all that was measured.
func (s *clusterRun) rates() table {
	t := table{title: "Writes of 1 KiB that are agreed on", head: []string{"program", "clients", "GOMAXPROCS", "writes/s", "p50 ms", "p99 ms", "CPU s/1000", "KiB a write", ""},
		note: fmt.Sprintf("%d node(s) of each, a process each, on one machine and one disk; new and empty for each row and round. Each client writes to the leader\nand waits. Medians of %d rounds of %s after %s, in random order. CPU time and what is written to the disk are those of all nodes\ntogether, not of the clients, whom none asks for TLS. best: of the two settings, that of the most writes.", s.nodes, s.rounds, s.window, s.warm)}
	for _, n := range writeClients() {
		for _, v := range s.rivals {
			if v.because != "" {
				continue
			}
			for _, at := range settingsOf(v.name, n) {
				mark := ""
				if at == s.best(v.name, n) {
					mark = "best"
				}
				row := []string{v.name, fmt.Sprint(n), fmt.Sprint(at.procs)}
				for _, c := range []struct {
					digits int
					of     func(wrote) float64
				}{
					{0, rateOf},
					{2, func(w wrote) float64 { return w.p50 }},
					{2, func(w wrote) float64 { return w.p99 }},
					{3, func(w wrote) float64 { return w.cpu }},
					{1, func(w wrote) float64 { return w.written / 1024 }},
				} {
					row = append(row, fmt.Sprintf("%.*f", c.digits, s.median(at, c.of)))
				}
				t.add(append(row, mark)...)
				if why := s.failed[at]; why != "" {
					t.note += fmt.Sprintf("\n%s, %d clients, GOMAXPROCS %d: %s", v.name, n, at.procs, why)
				}
			}
		}
	}
	for _, v := range s.rivals {
		if v.because != "" {
			t.note += fmt.Sprintf("\n%s was not measured: %s.", v.name, v.because)
			continue
		}
		t.note += fmt.Sprintf("\n%s: %s.", strings.TrimSpace(v.name+" "+v.version), v.write)
	}
	return t
}

// ratios is the table of ours over the others', each at its best setting.
func (s *clusterRun) ratios() table {
	t := table{title: "Ours over the others', each at its best", head: []string{"than", "clients", "writes/s", "p99", "CPU", "bytes"},
		note: "Medians of the ratios of each round."}
	for _, v := range s.rivals[1:] {
		for _, n := range writeClients() {
			if v.because != "" {
				continue
			}
			row := []string{v.name, fmt.Sprint(n)}
			for _, m := range clusterMeasures() {
				f := s.find(s.clusterName(m, n, "vs_"+v.name))
				cell := "-"
				if f.status == measured {
					cell = fmt.Sprintf("%.2f", f.value)
				}
				row = append(row, cell)
			}
			t.add(row...)
		}
	}
	return t
}
