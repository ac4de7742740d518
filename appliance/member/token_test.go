package member_test

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/member"
	"gatehouse/store/id"
)

func token() *member.Token {
	now := time.Now()
	t := &member.Token{Cluster: id.New(id.Cluster, now, rand.Reader), Invitation: id.New(id.Invitation, now, rand.Reader), Secret: make([]byte, 32), Authority: make([]byte, 32),
		Addresses: []string{"10.0.0.1:8444", "[::1]:8444"}, Expires: now.UTC().Truncate(time.Second)}
	rand.Read(t.Secret)
	rand.Read(t.Authority)
	return t
}

func TestParseToken(t *testing.T) {
	want, two := token(), token()
	two.Next, two.Keys = token().Authority, [][]byte{make([]byte, 16), token().Authority[:16]}
	for text, want := range map[string]*member.Token{want.String(): want, "  " + want.String() + "\n": want, two.String(): two} {
		if got, err := member.ParseToken(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	text := want.String()
	bad := map[string]string{
		"nothing": "", "another form": strings.Replace(text, "ghj1.", "ghj2.", 1), "no prefix": text[5:], "cut off": text[:len(text)-9],
		"not base64": "ghj1.!", "no JSON": "ghj1." + base64.RawURLEncoding.EncodeToString([]byte("x")), "too long": text + strings.Repeat("A", 4096),
	}
	for what, change := range map[string]func(*member.Token){
		"no cluster":      func(t *member.Token) { t.Cluster = "" },
		"another id":      func(t *member.Token) { t.Invitation = t.Cluster },
		"a short secret":  func(t *member.Token) { t.Secret = t.Secret[:31] },
		"no authority":    func(t *member.Token) { t.Authority = nil },
		"a cut next one":  func(t *member.Token) { t.Next = t.Authority[:31] },
		"a key too few":   func(t *member.Token) { t.Keys = [][]byte{t.Secret[:16]} },
		"a cut key":       func(t *member.Token) { t.Keys = [][]byte{t.Secret[:16], t.Secret[:15]} },
		"nobody to reach": func(t *member.Token) { t.Addresses = nil },
	} {
		changed := *want
		change(&changed)
		bad[what] = changed.String()
	}
	for what, text := range bad {
		if _, err := member.ParseToken(text); !errors.Is(err, member.ErrToken) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What is read as a token is one, and is the same when it is written and read
// again.
func FuzzParseToken(f *testing.F) {
	f.Add(token().String())
	f.Add("ghj1.")
	f.Add("ghj1." + base64.RawURLEncoding.EncodeToString([]byte(`{"c":1}`)))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := member.ParseToken(text)
		if err != nil {
			if got != nil || !errors.Is(err, member.ErrToken) {
				t.Fatalf("%+v, %v", got, err)
			}
			return
		}
		if len(got.Secret) != 32 || len(got.Addresses) == 0 {
			t.Fatalf("%+v", got)
		}
		again, err := member.ParseToken(got.String())
		if len(got.String()) > 4096 { // written as JSON it may be longer than what was read
			return
		}
		if err != nil || again.String() != got.String() {
			t.Fatalf("%+v, %v, want %+v", again, err, got)
		}
	})
}
