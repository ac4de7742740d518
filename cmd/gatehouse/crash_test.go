package main_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"gatehouse/appliance/appliancetest/crash"
)

// crashSeed chooses another run: its kills and its load.
const crashSeed = "GATEHOUSE_CRASH_SEED"

// Killed at random moments under load, the node loses nothing that it has
// acknowledged, does nothing twice, and forks no log. 'make chaos' kills more.
func TestKilledAtRandomMoments(t *testing.T) {
	c := crash.Config{Binary: binary, Dir: onDisk(t), Document: specimenJPEG(t), Selfie: readFile(t, obama2), Kills: 30, Seed: uint64(time.Now().UnixNano())}
	if testing.Short() {
		c.Kills = 5
	}
	if text := os.Getenv(crashSeed); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		c.Seed = seed
	}
	t.Logf("seed %d; %s=%d runs it again", c.Seed, crashSeed, c.Seed)
	r, err := crash.Run(t.Context(), c)
	if err != nil {
		t.Error(err)
	}
	if r == nil {
		t.FailNow()
	}
	for _, b := range r.Broken {
		t.Error(b)
	}
	t.Logf("%d kills; acknowledged: %d sessions, %d pictures, %d decisions, %d found the face under another name, %d erasures; %d pictures read back, %d leaves, %d checkpoints, %d bundles; restart %v, at most %v",
		r.Kills, r.Sessions, r.Evidence, r.Decisions, r.Duplicates, r.Erasures, r.Reads, r.Leaves, r.Checkpoints, r.Bundles, r.Restart(0.5), r.Restart(1))
	if !t.Failed() && (r.Kills != c.Kills || r.Sessions < c.Kills/2 || r.Evidence < c.Kills/2 || r.Decisions < c.Kills/5 || r.Duplicates == 0 || r.Reads < r.Evidence || r.Bundles < c.Kills) {
		t.Error("there was too little load for the kills to show anything")
	}
	if t.Failed() {
		keep(t, c.Dir)
	}
}

// The harness sees what it is there to see: a node that comes back as it was
// some time before, with everything that it had signed until then.
func TestALossIsSeen(t *testing.T) {
	dir := onDisk(t)
	oldAgain := filepath.Join(dir, "gatehouse")
	// At the third start the directory is copied, at the fourth the copy comes
	// back.
	script := `#!/bin/sh
set -e
cd '` + dir + `'
if [ "$1" = run ]; then
	echo start >>starts
	case $(wc -l <starts) in
	3) cp -a run/data copy ;;
	4) rm -r run/data; mv copy run/data ;;
	esac
fi
exec '` + binary + `' "$@"
`
	if err := os.WriteFile(oldAgain, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := crash.Run(t.Context(), crash.Config{Binary: oldAgain, Dir: filepath.Join(dir, "run"), Document: specimenJPEG(t), Selfie: readFile(t, obama2), Kills: 3, Seed: 1})
	if r == nil || r.Kills != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Count(crash.Lost) == 0 || r.Count(crash.Fork) == 0 {
		t.Errorf("lost %d, forked %d: %v, %v", r.Count(crash.Lost), r.Count(crash.Fork), r.Broken, err)
	}
}

// onDisk is a directory of the repository's own disk: /tmp may lie in memory.
func onDisk(t *testing.T) string {
	t.Helper()
	if err := os.MkdirAll("../../build", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("../../build", "crash-")
	if err != nil {
		t.Fatal(err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			os.RemoveAll(dir)
		}
	})
	return dir
}

// keep shows the end of what the node said; the directory stays.
func keep(t *testing.T, dir string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "node.log"))
	if err != nil {
		t.Log(err)
	}
	t.Logf("kept in %s; the node said at the end:\n%s", dir, b[max(0, len(b)-4000):])
}

// specimenJPEG is a document's picture as a branch would send it.
func specimenJPEG(t *testing.T) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "passport.jpg")
	succeed(t, "specimen", "--portrait", obama, "--seed", "1", "--out", file)
	return readFile(t, file)
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
