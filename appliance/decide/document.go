package decide

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

// Limits on a rule set, checked before anything is compiled. The default set
// has 27 rules in 6 KiB: a tenant has room for several times as much, and the
// text of a rule stays such that a person can review it.
const (
	maxDocument  = 128 << 10
	maxRules     = 200
	maxCondition = 1024 // bytes; also keeps the parser's work small
	maxText      = 500
	maxBands     = 10
)

// format of the document.
const format = 1

// set is the document of a rule set.
type set struct {
	Format    int    `json:"format"` // 1
	Name      string `json:"name"`
	Version   string `json:"version"`
	Rules     []rule `json:"rules"`
	Otherwise []band `json:"otherwise"`
}

// rule gives a reason where its condition holds.
type rule struct {
	ID       string  `json:"id"`
	When     string  `json:"when"` // CEL
	Outcome  Outcome `json:"outcome"`
	Reason   string  `json:"reason"`
	Text     string  `json:"text"`
	Escalate bool    `json:"escalate"`
}

// band is the outcome for scores of From and more, up to the band above.
type band struct {
	From     float64 `json:"from"`
	Outcome  Outcome `json:"outcome"`
	Reason   string  `json:"reason"`
	Text     string  `json:"text"`
	Escalate bool    `json:"escalate"`
}

// Strict decoding: encoding/json would take "When" for "when".
func (s *set) UnmarshalJSON(b []byte) error {
	type plain set
	return strict(b, (*plain)(s), "format", "name", "version", "rules", "otherwise")
}

func (r *rule) UnmarshalJSON(b []byte) error {
	type plain rule
	return strict(b, (*plain)(r), "id", "when", "outcome", "reason", "text", "escalate")
}

func (b *band) UnmarshalJSON(data []byte) error {
	type plain band
	return strict(data, (*plain)(b), "from", "outcome", "reason", "text", "escalate")
}

func strict(b []byte, into any, names ...string) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return err
	}
	for name := range members {
		if !slices.Contains(names, name) {
			return fmt.Errorf("unknown member %q, the nearest known one is %q", name, nearest(name, names))
		}
	}
	return json.Unmarshal(b, into)
}

// parse reads and checks a document; the second result is its canonical form.
func parse(document []byte) (*set, []byte, error) {
	if len(document) > maxDocument {
		return nil, nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrRules, len(document), maxDocument)
	}
	canonical, err := jcs.Transform(document) // refuses a member that is there twice
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRules, err)
	}
	var s set
	if err := json.NewDecoder(bytes.NewReader(document)).Decode(&s); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRules, err)
	}
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	return &s, canonical, nil
}

// word says whether s may name something: in messages, addresses and logs.
func word(s string) bool {
	return 0 < len(s) && len(s) <= mostName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

func (s *set) check() error {
	switch {
	case s.Format != format:
		return fmt.Errorf("%w: format %d; this program reads %d", ErrRules, s.Format, format)
	case !word(s.Name), !word(s.Version):
		return fmt.Errorf("%w: name %q and version %q must be of a–z, 0–9, dot, dash and underscore, 64 at most", ErrRules, cut(s.Name), cut(s.Version))
	case len(s.Rules) > maxRules:
		return fmt.Errorf("%w: it has %d rules, at most %d are allowed", ErrRules, len(s.Rules), maxRules)
	}
	seen := map[string]bool{otherwise: true}
	for i, r := range s.Rules {
		wrong := ""
		switch {
		case !word(r.ID):
			return fmt.Errorf("%w: the id %q of rule %d must be of a–z, 0–9, dot, dash and underscore, 64 at most", ErrRules, cut(r.ID), i+1)
		case seen[r.ID]:
			wrong = "this id is taken; give it another"
		case r.Outcome != Review && r.Outcome != Rejected:
			wrong = fmt.Sprintf("outcome %q: a rule leads to review or rejected; accepted is what is left where none holds", cut(string(r.Outcome)))
		case r.When == "" || len(r.When) > maxCondition:
			wrong = fmt.Sprintf("its condition has %d bytes, 1 to %d are allowed", len(r.When), maxCondition)
		default:
			wrong = tells(r.Reason, r.Text)
		}
		if wrong != "" {
			return fmt.Errorf("rule %q: %w: %s", r.ID, ErrRules, wrong)
		}
		seen[r.ID] = true
	}
	return s.checkBands()
}

// checkBands: no score may reject on its own. Whom no rule rejects is looked
// at by a person, however low the score.
func (s *set) checkBands() error {
	if n := len(s.Otherwise); n == 0 || n > maxBands || s.Otherwise[n-1].From != 0 {
		return fmt.Errorf("%w: otherwise needs 1 to %d bands, the last from 0", ErrRules, maxBands)
	}
	for i, b := range s.Otherwise {
		wrong := ""
		switch {
		case b.Outcome != Accepted && b.Outcome != Review:
			wrong = fmt.Sprintf("outcome %q: a score alone leads to accepted or review", cut(string(b.Outcome)))
		case b.From < 0 || b.From > top:
			wrong = "a score is 0 to 100"
		case i > 0 && b.From >= s.Otherwise[i-1].From:
			wrong = "the bands must fall"
		case i > 0 && b.Outcome == Accepted && s.Otherwise[i-1].Outcome != Accepted:
			wrong = "a lower score must not be better than a higher one"
		case b.Outcome == Accepted && b.From < edgeReview:
			wrong = fmt.Sprintf("accepted below %d, where every part may have failed", edgeReview)
		case b.Outcome == Accepted && (b.Reason != "" || b.Text != "" || b.Escalate):
			wrong = "accepted needs no reason"
		case b.Outcome == Review:
			wrong = tells(b.Reason, b.Text)
		}
		if wrong != "" {
			return fmt.Errorf("%w: otherwise, the band from %g: %s", ErrRules, b.From, wrong)
		}
	}
	return nil
}

// tells says what is wrong with a reason and its text.
func tells(reason, text string) string {
	switch {
	case !word(reason):
		return fmt.Sprintf("the reason %q must be of a–z, 0–9, dot, dash and underscore, 64 at most", cut(reason))
	case text == "" || len(text) > maxText:
		return fmt.Sprintf("its text has %d bytes, 1 to %d are allowed", len(text), maxText)
	}
	return ""
}

// cut keeps what a message quotes short.
func cut(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	end := most
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
