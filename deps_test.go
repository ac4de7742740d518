package gatehouse_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// rooms says which other rooms each room may import. Inside a room everything
// is allowed; "" is the package at the root, which holds the embedded files.
var rooms = map[string][]string{
	"":                  {},
	"engine":            {},
	"store":             {},
	"ui":                {},
	"cluster":           {"store"},
	"appliance":         {"cluster", "engine", "store", "ui"},
	"installer":         {"store/disk", "store/keys"},
	"cmd/gatehouse":     {"", "appliance", "installer", "engine", "store"},
	"cmd/assets":        {"engine"},             // writes the packs that the engine reads
	"cmd/generate":      {"appliance", "store"}, // writes code and pages from the descriptions
	"cmd/eval":          {"", "appliance", "engine", "cluster", "store"},
	"cmd/chaos":         {"appliance", "store/disk/killpoint"}, // kills the real binary
	"engine/enginetest": {"engine"},
	// Starts a node for tests.
	"appliance/appliancetest": {"appliance", "engine", "store"},
}

type listed struct {
	ImportPath, Name, Doc string
	Imports               []string
	TestImports           []string
	XTestImports          []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Name,Doc,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// local gives a path inside this module, or false.
func local(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path+"/", "gatehouse/")
	return strings.TrimSuffix(rest, "/"), ok
}

func within(path, room string) bool {
	if room == "" {
		return path == ""
	}
	return path == room || strings.HasPrefix(path, room+"/")
}

// testOnly packages are imported by tests and by each other.
func testOnly(path string) bool {
	return path == "engine/enginetest" || path == "appliance/appliancetest"
}

func roomOf(path string) (string, bool) {
	best, found := "", path == ""
	for room := range rooms {
		if room != "" && within(path, room) && len(room) > len(best) {
			best, found = room, true
		}
	}
	return best, found
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		path, _ := local(p.ImportPath)
		room, ok := roomOf(path)
		if !ok {
			t.Errorf("%s lies in no room of the house", path)
			continue
		}
	imports:
		for _, i := range p.Imports {
			to, ours := local(i)
			if !ours || within(to, room) && !testOnly(to) {
				continue
			}
			for _, allowed := range rooms[room] {
				if within(to, allowed) && (!testOnly(to) || testOnly(path)) {
					continue imports
				}
			}
			t.Errorf("%s must not import %q", path, to)
		}
	}
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	for _, p := range packages(t) {
		if path, _ := local(p.ImportPath); p.Doc == "" && p.Name != "gatehouse_test" {
			t.Errorf("package %q has no doc comment", path)
		}
	}
}
