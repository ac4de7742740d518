package appliance_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// What happens on a node is in its sinks soon, and the status says how far they
// are.
func TestForwardingOfANode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "siem.jsonl")
	n := appliancetest.Start(t, appliancetest.Config(func(c *appliance.Config) { c.Forward = []string{"file://" + file} }))
	id := n.Home.Key(t, access.Operator).Create(t)
	seen := func() bool {
		b, err := os.ReadFile(file)
		return err == nil && bytes.Contains(b, []byte(id)) && bytes.Contains(b, []byte("cluster.found"))
	}
	for end := time.Now().Add(20 * time.Second); !seen() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if !seen() {
		t.Error("the file does not have what happened")
	}
	var status struct {
		Forwarding []struct {
			Sink  string
			Alarm bool
			Error string
		}
	}
	n.Home.Admin.Do(t, "GET", "/v1/status", nil).Want(t, 200).JSON(t, &status)
	if f := status.Forwarding; len(f) != 1 || f[0].Sink == "" || f[0].Alarm || f[0].Error != "" {
		t.Errorf("%+v", f)
	}
}
