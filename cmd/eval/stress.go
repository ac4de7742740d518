package main

import (
	"context"
	"fmt"
	"path"

	"gatehouse/engine/document/mrz"
)

func stressFigures() []figure {
	return []figure{
		goal("mrz_trusted_wrong", "of_208_readings", 0, "<=", 1),
		info("mrz_stress_right", "of_208_readings", 0), info("mrz_stress_trusted", "of_208_readings", 0),
	}
}

// stress reads the photographs spoilt in many ways. What counts is that no
// reading is trusted that is wrong.
func (e *evaluation) stress(ctx context.Context) error {
	all, err := readPhotographs(e.path(photographsList))
	if err != nil {
		return err
	}
	ways := distortions()
	read := make([]*mrz.Reading, len(ways)*len(all))
	err = each(ctx, e.progress, "distorted photographs", len(read), e.engine.Workers(), func(ctx context.Context, i int) error {
		p, err := e.open(ctx, path.Join(photographsDir, all[i%len(all)].file))
		if err != nil {
			return err
		}
		if p, err = ways[i/len(all)].apply(ctx, p); err != nil {
			return err
		}
		read[i], err = e.readZone(ctx, p)
		return err
	})
	if err != nil {
		return err
	}
	t := table{title: "Zones of distorted photographs", head: []string{"distortion", "right", "check digits hold", "trusted", "trusted and wrong"},
		note: fmt.Sprintf("The %d photographs above, each distorted in %d ways.", len(all), len(ways))}
	var sum tally
	for w, way := range ways {
		var one tally
		for i, k := range all {
			m := read[w*len(all)+i]
			o := judge(m, k.lines)
			one.add(o)
			sum.add(o)
			if o.trusted && !o.right || e.verbose && o.valid && !o.right {
				e.misread(k.file+", "+way.name+yes(o.trusted, ", TRUSTED", ""), k.lines, m)
			}
		}
		t.add(one.row(way.name)...)
	}
	t.add(sum.row(fmt.Sprintf("all %d readings", len(read)))...)
	e.table(t)
	for name, n := range map[string]int{"mrz_trusted_wrong": sum.trustedWrong, "mrz_stress_right": sum.right, "mrz_stress_trusted": sum.trusted} {
		e.find(name).unit = fmt.Sprintf("of_%d_readings", len(read))
		e.measure(name, float64(n))
	}
	return nil
}

func (t *tally) row(name string) []string {
	return []string{name, fmt.Sprint(t.right), fmt.Sprint(t.valid), fmt.Sprint(t.trusted), fmt.Sprint(t.trustedWrong)}
}
