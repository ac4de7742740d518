package api_test

import (
	"os"
	"testing"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// shared is the node of all tests that leave it as it was; each has a tenant
// of its own on it.
var shared appliancetest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if !shared.Close() && code == 0 {
		code = 1
	}
	os.Exit(code)
}

// tenant makes a new one on the shared node.
func tenant(t *testing.T) (*appliancetest.Node, *appliancetest.Tenant) {
	t.Helper()
	n := shared.Node(t)
	return n, n.Tenant(t)
}

// operator of a new tenant.
func operator(t *testing.T) (*appliancetest.Tenant, *appliancetest.Client) {
	t.Helper()
	_, home := tenant(t)
	return home, home.Key(t, access.Operator)
}
