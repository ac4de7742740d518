package health

import (
	"context"
	"fmt"
	"time"

	"gatehouse/engine"
	"gatehouse/store/state"
)

// Check is one thing that a node needs to do its work.
type Check struct {
	Name   string
	OK     bool
	Detail string
}

// readTime bounds the proof that the state can be read: longer is not ready.
const readTime = 2 * time.Second

// Ready proves that the node can do its work: it reads the state with the
// cluster's consent, has room on its disk, is not sealed, and its models are
// loaded.
func Ready(ctx context.Context, s Sources, e *engine.Engine) (bool, []Check) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	read := make(chan error, 1)
	go func() {
		err := s.Node.Read(ctx)
		if err == nil {
			err = s.State.View(func(v *state.View) error { _, err := v.Founded(); return err })
		}
		read <- err
	}()
	var err error
	select {
	case err = <-read:
	case <-ctx.Done():
		err = fmt.Errorf("no answer within %v", readTime)
	}
	checks := []Check{
		{"read", err == nil, text(err)},
		{"disk", !s.Disk.Full(), ""},
		{"seal", !s.Keys.Sealed(), ""},
		{"models", e != nil, ""},
		{"gallery", true, ""},
		{"keyring", s.Ring(), ""},
	}
	checks[4].OK, checks[4].Detail = s.Faces.Ready()
	if s.Disk.Full() {
		free, _ := s.Disk.Space()
		checks[1].Detail = fmt.Sprintf("%d MiB free: new evidence is refused", free>>20)
	}
	if !s.Ring() {
		checks[5].Detail = "the cluster has agreed on another one, which no node that answers has given yet"
	}
	if s.Keys.Sealed() {
		checks[2].Detail = "sealed"
	}
	ready := true
	for _, c := range checks {
		ready = ready && c.OK
	}
	return ready, checks
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
