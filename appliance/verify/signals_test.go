package verify_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gatehouse/appliance/decide"
	"gatehouse/appliance/verify"
	"gatehouse/engine/enginetest"
)

// Signals and reasons are kept when the evidence is gone: nothing of the
// document is in them. The template is in no report at all.
func TestSignalsCarryNoPersonalData(t *testing.T) {
	e, in := enginetest.Open(t), verify.Evidence{Document: passport(t).jpeg, Selfie: photo(t, "obama2")}
	r := verified(t, verify.New(e, rules(t), clock(today.AddDate(20, 0, 0))), in)
	kept, err := json.Marshal([]any{r.Signals, r.Reasons})
	if err != nil {
		t.Fatal(err)
	}
	f := &r.Document.MRZ.Fields
	for name, secret := range map[string]string{"surname": f.Surname, "given names": f.GivenNames, "number": f.Number, "birth": f.Birth.ISO, "expiry": f.Expiry.ISO} {
		if secret == "" {
			t.Fatalf("the specimen has no %s", name)
		}
		if strings.Contains(strings.ToLower(string(kept)), strings.ToLower(secret)) {
			t.Errorf("the %s is in the signals: %s", name, kept)
		}
	}
	report, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Template.Vector) == 0 || strings.Contains(string(report), "embedding\":") || strings.Contains(string(report), "emplate") {
		t.Errorf("%d numbers; report %s", len(r.Template.Vector), report)
	}
}

// Rules may name whatever signal a verification gives.
func TestRulesKnowAllSignals(t *testing.T) {
	r := verified(t, verify.New(enginetest.Open(t), rules(t), clock(today)), verify.Evidence{Document: passport(t).jpeg, Selfie: photo(t, "obama2"), Frames: [][]byte{photo(t, "obama")}})
	for _, s := range r.Signals {
		document := fmt.Sprintf(`{"format":1,"name":"n","version":"1","rules":[{"id":"r","when":"failed('%s')","outcome":"review","reason":"c","text":"t"}],"otherwise":[{"from":0,"outcome":"review","reason":"c","text":"t"}]}`, s.Name)
		if _, err := decide.Compile([]byte(document)); err != nil {
			t.Error(err)
		}
	}
}
