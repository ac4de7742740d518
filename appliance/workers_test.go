package appliance_test

import (
	"crypto/sha256"
	"net"
	"testing"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// A node that can open nobody's pictures, as it is sealed or has not the key-ring
// that was agreed on, tells the others that it has no workers.
func TestNoWorkersWithoutTheKeys(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var in *appliance.Node
	n := appliancetest.Start(t, appliancetest.Opened(func(n *appliance.Node) { in = n }), appliancetest.Config(func(c *appliance.Config) { c.Peer = l.Addr().String() }))
	workers := func(when string, some bool) {
		t.Helper()
		if got := in.Report().Workers; got > 0 != some {
			t.Errorf("%s: %d workers", when, got)
		}
	}
	workers("at first", true)
	var ring *command.Ring
	if err := in.State().View(func(v *state.View) (err error) { ring, err = v.Ring(); return err }); err != nil {
		t.Fatal(err)
	}
	other := sha256.Sum256([]byte("another key-ring"))
	set := func(serial uint64, before, sum []byte) {
		t.Helper()
		_, err := in.Sessions().Propose(t.Context(), access.Caller{}, command.Type_SET_RING, &command.SetRing{Ring: &command.Ring{Serial: serial, Sum: sum}, Before: before}, nil,
			&command.Event{Action: string(audit.KeyRotate), ObjectType: "keyring", Result: string(audit.OK)})
		if err != nil {
			t.Fatal(err)
		}
	}
	set(ring.Serial+1, ring.Sum, other[:])
	workers("without the key-ring that is in force", false)
	set(ring.Serial+2, other[:], ring.Sum)
	workers("with it", true)
	n.Home.Admin.Do(t, "POST", "/v1/seal/close", nil).Want(t, 200)
	workers("sealed", false)
}
