package bundle

import (
	"bytes"
	"cmp"
	"crypto/hpke"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"gatehouse/store/audit"
)

const (
	// maxSealedLine bytes: the openings of one leaf. A leaf has room for about 200
	// commitments, whose values are names, numbers and addresses.
	maxSealedLine = 256 << 10
	// maxCommitments in the leaves of a bundle with disclosures. Whoever verifies
	// keeps 40 bytes of each until the disclosures come.
	maxCommitments = 2 << 20
)

// sealHeader is the first line of disclosures.jsonl: what RFC 9180 needs to set
// up a context in base mode, with its numbers of the algorithms.
type sealHeader struct {
	AEAD uint16 `json:"aead"`
	Enc  []byte `json:"enc"`
	Info string `json:"info"`
	KDF  uint16 `json:"kdf"`
	KEM  uint16 `json:"kem"`
}

func (h *sealHeader) encode() []byte {
	b := fmt.Appendf(nil, `{"aead":%d,"enc":"%s","info":`, h.AEAD, base64.StdEncoding.EncodeToString(h.Enc))
	return fmt.Appendf(appendText(b, h.Info), `,"kdf":%d,"kem":%d}`, h.KDF, h.KEM)
}

// sealInfo binds what is sealed to one bundle's range.
func sealInfo(origin string, from, to int64) string {
	return fmt.Sprintf("gatehouse/disclosures/1 %s %d %d", origin, from, to)
}

// sealedLine has the openings of one leaf.
type sealedLine struct {
	Sealed []byte `json:"sealed"`
	Seq    int64  `json:"seq"`
}

func (l *sealedLine) encode() []byte {
	return fmt.Appendf(nil, `{"sealed":"%s","seq":%d}`, base64.StdEncoding.EncodeToString(l.Sealed), l.Seq)
}

// aad of a line is its seq; its place among the others is in the nonce.
func aad(seq int64) []byte { return strconv.AppendInt(nil, seq, 10) }

// openings of a leaf, sorted by field.
func encodeOpenings(all []audit.Opening) ([]byte, error) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b audit.Opening) int { return cmp.Compare(a.Field, b.Field) })
	b := []byte{'['}
	for i, o := range all {
		if !utf8.ValidString(o.Field) || !utf8.ValidString(o.Value) {
			return nil, fmt.Errorf("%w: the opening of %.40q is not UTF-8", ErrExport, o.Field)
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"field":`...), o.Field)
		b = hex.AppendEncode(append(b, `,"r":"`...), o.R[:])
		b = append(appendText(append(b, `","value":`...), o.Value), '}')
	}
	return append(b, ']'), nil
}

func parseOpenings(b []byte) ([]audit.Opening, error) {
	var all []struct{ Field, R, Value string }
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	openings := make([]audit.Opening, len(all))
	for i, o := range all {
		openings[i] = audit.Opening{Field: o.Field, Value: o.Value}
		if len(o.R) != hex.EncodedLen(len(openings[i].R)) {
			return nil, fmt.Errorf("%w: r has 64 hexadecimal digits", errForm)
		}
		if _, err := hex.Decode(openings[i].R[:], []byte(o.R)); err != nil {
			return nil, fmt.Errorf("%w: %w", errForm, err)
		}
		if i > 0 && openings[i].Field <= openings[i-1].Field {
			return nil, fmt.Errorf("%w: the fields of a leaf rise", errForm)
		}
	}
	if again, err := encodeOpenings(openings); err != nil || !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: it has another spelling", errForm)
	}
	return openings, nil
}

// sealer writes disclosures.jsonl.
type sealer struct {
	sender *hpke.Sender
	out    side
}

func newSealer(r *Recipient, origin string, from, to int64) (*sealer, error) {
	h := sealHeader{AEAD: aead().ID(), KDF: kdf().ID(), KEM: kem().ID(), Info: sealInfo(origin, from, to)}
	s := &sealer{out: side{name: disclosuresName, max: maxSide}}
	var err error
	if h.Enc, s.sender, err = hpke.NewSender(r.key, kdf(), aead(), []byte(h.Info)); err != nil {
		return nil, fmt.Errorf("sealing disclosures: %w", err)
	}
	return s, s.out.add(append(h.encode(), '\n'))
}

func (s *sealer) seal(l *audit.Leaf, openings []audit.Opening) error {
	for _, o := range openings {
		if c, ok := l.PII[o.Field]; !ok || !o.Opens(tenantOf(l), c) {
			return fmt.Errorf("%w: the opening of %.40q does not open leaf %d", ErrExport, o.Field, l.Seq)
		}
	}
	plain, err := encodeOpenings(openings)
	if err != nil {
		return err
	}
	sealed, err := s.sender.Seal(aad(l.Seq), plain)
	if err != nil {
		return fmt.Errorf("sealing disclosures: %w", err)
	}
	line := (&sealedLine{sealed, l.Seq}).encode()
	if len(line) > maxSealedLine {
		return fmt.Errorf("%w: the openings of leaf %d have %d bytes, at most %d", ErrExport, l.Seq, len(line), maxSealedLine)
	}
	return s.out.add(append(line, '\n'))
}

// tenantOf a leaf is in its log's name.
func tenantOf(l *audit.Leaf) string {
	_, tenant, _, _ := audit.ParseOrigin(l.Log)
	return tenant
}

// opener reads the lines after the first.
type opener struct{ recipient *hpke.Recipient }

func newOpener(s *Secret, h *sealHeader) (*opener, error) {
	r, err := hpke.NewRecipient(h.Enc, s.key, kdf(), aead(), []byte(h.Info))
	if err != nil {
		return nil, err
	}
	return &opener{r}, nil
}

func (o *opener) open(l *sealedLine) ([]audit.Opening, error) {
	plain, err := o.recipient.Open(aad(l.Seq), l.Sealed)
	if err != nil {
		return nil, err
	}
	return parseOpenings(plain)
}
