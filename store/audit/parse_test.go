package audit_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"gatehouse/store/audit"
)

// The fast way reads every leaf that Encode writes, and of leaves with a part
// changed only those that the patient one reads alike.
func TestFastAndPatientReadAlike(t *testing.T) {
	leaves := [][]byte{encode(t, small()), encode(t, full())}
	for _, b := range leaves {
		fast, ok := audit.ParseLeaf(b)
		slow, err := audit.Patient(b)
		if !ok || err != nil || !reflect.DeepEqual(fast, slow) {
			t.Fatalf("%q\n%+v, %v\n%+v, %v", b, fast, ok, slow, err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	pieces := [][]byte{[]byte(`"`), []byte(`\`), []byte(`\u0041`), []byte(`\/`), []byte(`,`), []byte(`{}`), []byte(`[]`), []byte(`null`), []byte(`-0`), []byte(`1.0`), []byte(`1e3`),
		[]byte(`00`), []byte("\xff"), []byte("\u2028"), []byte("\u00e9"), []byte("\ufeff"), []byte("\r\n"), []byte(`,"id":""`), []byte(`"data":{}`), []byte(`:`), []byte(`9`), []byte(`Z`)}
	read := 0
	for range 60_000 {
		b := bytes.Clone(leaves[r.IntN(len(leaves))])
		for range 1 + r.IntN(2) {
			at := r.IntN(len(b))
			switch r.IntN(4) {
			case 0:
				b[at] = byte(r.IntN(256))
			case 1:
				b = append(b[:at:at], b[min(len(b), at+1+r.IntN(8)):]...)
			case 2:
				b = append(b[:at:at], append(bytes.Clone(pieces[r.IntN(len(pieces))]), b[at:]...)...)
			case 3: // a digit for a digit, a letter for a letter
				if c := b[at]; c >= '0' && c <= '9' {
					b[at] = '0' + byte(r.IntN(10))
				} else if c >= 'a' && c <= 'z' {
					b[at] = 'a' + byte(r.IntN(26))
				}
			}
			if len(b) == 0 {
				b = []byte("{")
			}
		}
		slow, err := audit.Patient(b)
		fast, ok := audit.ParseLeaf(b)
		if ok && (err != nil || !reflect.DeepEqual(fast, slow)) {
			t.Fatalf("%q\n%+v\n%+v, %v", b, fast, slow, err)
		}
		if err == nil {
			read++
			if !ok { // nothing but what has years that are far away
				t.Fatalf("%q is read by patience alone", b)
			}
		}
	}
	if read < 1000 {
		t.Errorf("%d of the changed leaves can be read: the test shows little", read)
	}
}
