package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
	"gatehouse/store/audit"
)

// head is a checkpoint whose signature holds.
func head(t *testing.T, c *appliancetest.Client, log string) (*audit.Checkpoint, note.Verifier) {
	t.Helper()
	key := strings.TrimSpace(string(c.Do(t, "GET", "/v1/audit/key?log="+log, nil).Want(t, 200).Body))
	v, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	cp, err := audit.VerifyCheckpoint(c.Do(t, "GET", "/v1/audit/checkpoint?log="+log, nil).Want(t, 200).Body, v.Name(), note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	return cp, v
}

// verifies checks every event of a tenant's log against a signed checkpoint,
// with an implementation that is not ours.
func verifies(t *testing.T, home *appliancetest.Tenant) {
	t.Helper()
	c := home.Key(t, access.Auditor)
	cp, v := head(t, c, "tenant")
	if cp.Size == 0 || !strings.Contains(cp.Origin, home.ID) {
		t.Fatalf("%+v", cp)
	}
	for seq := range cp.Size {
		var p struct{ Leaf, Proof string }
		c.Do(t, "GET", fmt.Sprintf("/v1/audit/proof/%d", seq), nil).Want(t, 200).JSON(t, &p)
		parsed, err := audit.ParseProof([]byte(p.Proof))
		if err != nil {
			t.Fatal(err)
		}
		under, err := parsed.Verify([]byte(p.Leaf), cp.Origin, note.VerifierList(v))
		if err != nil {
			t.Fatalf("event %d: %v", seq, err)
		}
		var path [][]byte
		for _, h := range parsed.Hashes {
			path = append(path, h[:])
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(seq), uint64(under.Size), rfc6962.DefaultHasher.HashLeaf([]byte(p.Leaf)), path, under.Root[:]); err != nil {
			t.Errorf("event %d: %v", seq, err)
		}
		if leaf, err := audit.DecodeLeaf([]byte(p.Leaf)); err != nil || leaf.Seq != seq {
			t.Errorf("event %d: %+v, %v", seq, leaf, err)
		}
	}
	extends(t, c, "tenant", cp)
}

// extends checks that the log now is one that earlier is the beginning of.
func extends(t *testing.T, c *appliancetest.Client, log string, earlier *audit.Checkpoint) {
	t.Helper()
	now, _ := head(t, c, log)
	if now.Size < earlier.Size {
		t.Fatalf("the log shrank from %d to %d", earlier.Size, now.Size)
	}
	var got struct {
		Origin   string
		From, To int64
		Hashes   []string
	}
	c.Do(t, "GET", fmt.Sprintf("/v1/audit/consistency?log=%s&from=%d&to=%d", log, earlier.Size, now.Size), nil).Want(t, 200).JSON(t, &got)
	var path [][]byte
	for _, s := range got.Hashes {
		h, err := tlog.ParseHash(s)
		if err != nil {
			t.Fatal(err)
		}
		path = append(path, h[:])
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(got.From), uint64(got.To), path, earlier.Root[:], now.Root[:]); err != nil || got.To != now.Size || got.Origin != now.Origin {
		t.Errorf("%d to %d: %v", got.From, got.To, err)
	}
}

func TestAuditProofs(t *testing.T) {
	n, home := tenant(t)
	op, c := home.Key(t, access.Operator), home.Key(t, access.Auditor)
	op.Create(t)
	first, _ := head(t, c, "tenant")
	system, _ := head(t, n.Home.Admin, "system")
	for range 5 {
		op.Create(t)
	}
	n.Tenant(t)
	n.Restart(t, nil)
	verifies(t, home)
	extends(t, c, "tenant", first)
	extends(t, n.Home.Admin, "system", system)
	now, _ := head(t, c, "tenant")
	for _, size := range []int64{1, now.Size + 1000, audit.MaxSize} {
		if a := c.Do(t, "GET", fmt.Sprintf("/v1/audit/proof/%d", size), nil); (a.Status == 404) != (size > 1) {
			t.Errorf("proof %d of %d: %d", size, now.Size, a.Status)
		}
	}
	for _, bad := range []string{"proof/-1", "proof/x", "proof/99999999999999999999", "consistency", "consistency?from=x", "consistency?from=5&to=4", "consistency?from=1&to=999999",
		"consistency?from=-1", "events?from=-1001", "events?limit=201", "events?log=other", "checkpoint?log=" + home.ID} {
		c.Do(t, "GET", "/v1/audit/"+bad, nil).Refused(t, "bad-value")
	}
	var page struct{ Events []appliancetest.Leaf }
	c.Do(t, "GET", "/v1/audit/events?from=-2&limit=1", nil).Want(t, 200).JSON(t, &page)
	if len(page.Events) != 1 || page.Events[0].Seq < now.Size-2 {
		t.Errorf("from the end: %+v", page)
	}
	c.Do(t, "GET", "/v1/audit/events?from=1000000", nil).Want(t, 200).JSON(t, &page)
	if len(page.Events) != 0 {
		t.Errorf("after the end: %+v", page)
	}
}
