package id_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/store/id"
)

func TestSortsByTime(t *testing.T) {
	var ids []string
	for i := range 3000 {
		ids = append(ids, id.New(id.Session, time.Unix(1_700_000_000, int64(i)*999_000), rand.Reader))
	}
	if !slices.IsSorted(ids) {
		t.Error("ids do not sort by time")
	}
}

func TestCheck(t *testing.T) {
	good := id.New(id.Session, time.Now(), rand.Reader)
	if err := id.Check(id.Session, good); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "ses_", good + "0", good[:len(good)-1], strings.ToUpper(good), "sub" + good[3:],
		good[:10] + "/" + good[11:], good[:len(good)-1] + "z", good[:len(good)-1] + "v"} {
		if err := id.Check(id.Session, bad); bad != good && !errors.Is(err, id.ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
