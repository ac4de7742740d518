package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"gatehouse/appliance/verify"
	"gatehouse/engine"
	"gatehouse/engine/document/mrz"
	"gatehouse/engine/enginetest"
	"gatehouse/engine/specimen"
)

func TestExplore(t *testing.T) {
	s := time.Now()
	lap := func(what string) { fmt.Println(what, time.Since(s)); s = time.Now() }
	e := enginetest.Open(t)
	lap("open")
	for _, n := range e.Networks() {
		if err := n.Warm(); err != nil {
			t.Fatal(err)
		}
		lap("warm " + n.Model.Name)
	}
	today := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	portrait, err := engine.Decode(context.Background(), enginetest.Asset(t, "samples/obama.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	lap("decode")
	for _, side := range []int{0, 1200, 900, 700} {
		sp, err := specimen.Draw(specimen.Options{Format: mrz.TD3, Seed: 1, Portrait: portrait, Today: today, Font: enginetest.Asset(t, "OCRB.otf")})
		if err != nil {
			t.Fatal(err)
		}
		lap("draw")
		p := sp.Image
		fmt.Println(p.Width, p.Height)
		if side > 0 {
			p = p.Resize(side, side*p.Height/p.Width)
		}
		var b bytes.Buffer
		specimen.WriteJPEG(&b, p, 90)
		lap("jpeg")
		for _, selfie := range []string{"obama2", "obama3", "obama", "biden"} {
			s = time.Now()
			r, err := verify.New(e, func() time.Time { return today }).Verify(t.Context(), verify.Evidence{Document: b.Bytes(), Selfie: enginetest.Asset(t, "samples/"+selfie+".jpg")})
			if err != nil {
				t.Fatal(err)
			}
			lap("verify")
			fmt.Println(side, selfie, r.Decision, r.Reasons, r.TimingsMS, r.Face.Comparison, r.Face.Faces, r.Face.Liveness)
			if side == 900 && selfie == "obama2" {
				for _, sg := range r.Signals {
					v := -1.0
					if sg.Value != nil {
						v = *sg.Value
					}
					fmt.Println("  ", sg.Name, v, sg.Status, sg.Note, sg.FMR, sg.Threshold)
				}
			}
		}
	}
}
