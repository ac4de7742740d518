package verify_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"gatehouse/appliance/decide"
	"gatehouse/appliance/verify"
	"gatehouse/engine"
	"gatehouse/engine/document/mrz"
	"gatehouse/engine/enginetest"
	"gatehouse/engine/picture"
)

// Nothing but the person with the document is accepted.
func TestNotAccepted(t *testing.T) {
	v := verify.New(enginetest.Open(t), rules(t), clock(today))
	doc, obama2, biden := passport(t), photo(t, "obama2"), decoded(t, photo(t, "biden"))
	black := jpeg(t, picture.New(640, 480))
	text := jpeg(t, cut(doc.Picture, 0.45, 0, 1, 0.75))
	grey := picture.New(300, 420)
	for i := range grey.Pix {
		grey.Pix[i] = 150
	}
	two := jpeg(t, beside(decoded(t, obama2), scaled(biden, biden.Width/2)))
	for _, c := range []struct {
		name  string
		in    verify.Evidence
		want  decide.Outcome
		first string // reason
		also  []string
	}{
		{"another person", verify.Evidence{Document: doc.jpeg, Selfie: photo(t, "biden")}, decide.Rejected, decide.PossibleFace, []string{decide.Match}},
		{"a document without a face", verify.Evidence{Document: draw(t, mrz.TD3, 7, grey).jpeg, Selfie: obama2}, decide.Review, decide.Portrait, []string{decide.PossibleFace, decide.Match}},
		{"a selfie without a face", verify.Evidence{Document: doc.jpeg, Selfie: text}, decide.Review, decide.SelfieFace,
			[]string{decide.SingleFace, decide.EyeDistance, decide.NoAttack, decide.Liveness, decide.PossibleFace, decide.Match}},
		{"a document of text alone", verify.Evidence{Document: text, Selfie: obama2}, decide.Review, decide.Zone,
			[]string{decide.ZoneValid, decide.ZoneTrusted, decide.Dates, decide.Unexpired, decide.Portrait, decide.Match}},
		{"a black document", verify.Evidence{Document: black, Selfie: obama2}, decide.Review, decide.Zone, []string{decide.Portrait}},
		{"a black selfie", verify.Evidence{Document: doc.jpeg, Selfie: black}, decide.Review, decide.SelfieFace, []string{decide.Match}},
		{"all black", verify.Evidence{Document: black, DocumentBack: black, Selfie: black, Frames: [][]byte{black}}, decide.Review, decide.Zone, []string{decide.Portrait, decide.SelfieFace}},
		{"the selfie for the document", verify.Evidence{Document: obama2, Selfie: obama2}, decide.Review, decide.Zone, []string{decide.ZoneValid}},
		{"two faces in the selfie", verify.Evidence{Document: doc.jpeg, Selfie: two}, decide.Review, decide.SingleFace, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := verified(t, v, c.in)
			got := reasons(r)
			if r.Decision != c.want || len(got) == 0 || got[0] != c.first {
				t.Fatalf("%s because of %v, want %s because of %s", r.Decision, got, c.want, c.first)
			}
			for _, name := range c.also {
				if !slices.Contains(got, name) {
					t.Errorf("%s is not a reason among %v", name, got)
				}
				if s := signal(t, r, name); s.Status == engine.Passed || s.Status == engine.Unavailable && s.Value != nil {
					t.Errorf("%+v", s)
				}
			}
			for _, stage := range []string{"document", "portrait", "face"} {
				if !(r.TimingsMS[stage] > 0) {
					t.Errorf("stage %s is not timed: %v", stage, r.TimingsMS)
				}
			}
			for _, reason := range r.Reasons {
				if reason.Text == "" {
					t.Errorf("no text says what %s means", reason.Signal)
				}
			}
		})
	}
}

func TestExpired(t *testing.T) {
	e, in := enginetest.Open(t), verify.Evidence{Document: passport(t).jpeg, Selfie: photo(t, "obama2")}
	r := verified(t, verify.New(e, rules(t), clock(today.AddDate(20, 0, 0))), in)
	if got := reasons(r); r.Decision != decide.Rejected || !slices.Equal(got, []string{decide.Unexpired}) {
		t.Errorf("in twenty years: %s because of %v", r.Decision, got)
	}
	last := r.Document.MRZ.Fields.Expiry.ISO
	for days, want := range map[int]decide.Outcome{0: decide.Accepted, 1: decide.Rejected} {
		day, err := time.Parse(time.DateOnly, last)
		if err != nil {
			t.Fatal(err)
		}
		if r := verified(t, verify.New(e, rules(t), clock(day.AddDate(0, 0, days))), in); r.Decision != want {
			t.Errorf("%d days after %s: %s because of %v, want %s", days, last, r.Decision, reasons(r), want)
		}
	}
}

// Whose picture cannot be read is told which one it was.
func TestUnreadable(t *testing.T) {
	v := verify.New(enginetest.Open(t), rules(t), clock(today))
	doc, selfie, broken := passport(t).jpeg, photo(t, "obama2"), photo(t, "obama")[:20000]
	for _, c := range []struct {
		name  string
		in    verify.Evidence
		input verify.Input
		index int
		want  error
	}{
		{"selfie cut off", verify.Evidence{Document: doc, Selfie: broken}, verify.Selfie, 0, picture.ErrTruncated},
		{"no selfie", verify.Evidence{Document: doc}, verify.Selfie, 0, picture.ErrEmpty},
		{"selfie is text", verify.Evidence{Document: doc, Selfie: []byte("me")}, verify.Selfie, 0, picture.ErrUnsupported},
		{"document cut off", verify.Evidence{Document: broken, Selfie: selfie}, verify.DocumentFront, 0, picture.ErrTruncated},
		{"no document", verify.Evidence{Selfie: selfie}, verify.DocumentFront, 0, picture.ErrEmpty},
		{"back cut off", verify.Evidence{Document: doc, DocumentBack: broken, Selfie: selfie}, verify.DocumentBack, 0, picture.ErrTruncated},
		{"empty back", verify.Evidence{Document: doc, DocumentBack: []byte{}, Selfie: selfie}, verify.DocumentBack, 0, picture.ErrEmpty},
		{"second frame cut off", verify.Evidence{Document: doc, Selfie: selfie, Frames: [][]byte{selfie, broken, nil}}, verify.Frame, 1, picture.ErrTruncated},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := v.Verify(context.Background(), c.in)
			var refused *verify.InputError
			if r != nil || !errors.As(err, &refused) || refused.Input != c.input || refused.Index != c.index || !errors.Is(err, c.want) {
				t.Errorf("%v, %#v", r, err)
			}
		})
	}
}

// Also where both sides fail, whichever comes first.
func TestBothUnreadable(t *testing.T) {
	v := verify.New(enginetest.Open(t), rules(t), clock(today))
	rounds := 20000
	if testing.Short() {
		rounds = 5000
	}
	for i := range rounds {
		_, err := v.Verify(context.Background(), verify.Evidence{Document: []byte("paper"), Selfie: []byte("me")})
		var refused *verify.InputError
		if !errors.As(err, &refused) {
			t.Fatalf("try %d: %#v does not say which picture", i, err)
		}
	}
}
