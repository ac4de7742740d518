package main

import (
	"context"
	"fmt"
)

const livenessDir = "liveness/minivision_sample"

// liveness shows what the network says of three frames, which are also vectors.
func (e *evaluation) liveness(ctx context.Context) error {
	t := table{title: "Liveness, sample", head: []string{"frame", "truth", "P(live)", "P(2-D)", "P(3-D)", "context", "verdict"},
		note: "Three frames prove that the network is fed as it was trained, and no error rate."}
	for _, k := range []struct {
		name, file, truth string
		box               [4]float64
		live              float64
	}{
		{"T1", "real/image_T1.jpg", "live", [4]float64{127.9, 107.3, 294.0, 348.9}, .9797},
		{"F1", "fake/image_F1.jpg", "attack", [4]float64{196.1, 106.6, 383.8, 356.6}, .0000},
		{"F2", "fake/image_F2.jpg", "attack", [4]float64{151.8, 206.0, 360.5, 514.0}, .0006},
	} {
		p, err := e.open(ctx, livenessDir+"/"+k.file)
		if err != nil {
			return err
		}
		found, err := e.engine.Faces.Detect(ctx, p)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			e.vector("minivision_"+k.name, "no face")
			continue
		}
		l, err := e.engine.Faces.Liveness(ctx, p, &found[0])
		if err != nil {
			return err
		}
		e.vector("minivision_"+k.name, problem(apart(boxApart(&found[0], k.box), "P(live)", l.Live, k.live, liveSlack)))
		t.add(k.name, k.truth, fmt.Sprintf("%.4f", l.Live), fmt.Sprintf("%.4f", l.Spoof2D), fmt.Sprintf("%.4f", l.Spoof3D), fmt.Sprintf("%.2f", l.ContextRatio), string(l.Verdict))
	}
	fmt.Fprintln(e.out)
	e.table(t)
	return nil
}
