package appliance_test

import (
	"os"
	"testing"

	"gatehouse/appliance/appliancetest"
)

// shared is the node of the tests that leave it as it was.
var shared appliancetest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if !shared.Close() && code == 0 {
		code = 1
	}
	os.Exit(code)
}
