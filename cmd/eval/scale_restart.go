package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/appliance/client"
)

func (s *scaleRun) restartFigures() []figure {
	return []figure{
		s.within("restart_1m_ready", "s", 1, "<", 30), s.within("restart_1m_ready_after_kill", "s", 1, "<", 30),
		info(s.sized("restart_1m_first_ready"), "s", 1), info(s.sized("restart_1m_stop"), "s", 1),
		info(s.sized("restart_1m_rss_gb"), "GB", 2), info(s.sized("restart_1m_memory_gb"), "GB", 2),
	}
}

// restart the node: first as it was made, without a snapshot of its gallery, then
// after an orderly stop, which writes one, and after a kill.
func (s *scaleRun) restart(ctx context.Context) error {
	t := table{title: "From exec until /readyz says ready, the gallery searchable", head: []string{"start", "s"}}
	for _, part := range []struct{ what, figure string }{
		{"first, as it was made: the gallery is made from the sealed templates", "restart_1m_first_ready"},
		{"after an orderly stop", "restart_1m_ready"},
		{"after SIGKILL", "restart_1m_ready_after_kill"},
	} {
		var err error
		if t.note, err = s.dropCaches(); err != nil {
			return err
		}
		n, err := s.start(ctx, s.data())
		if err != nil {
			return err
		}
		took, err := n.ready(ctx)
		if err == nil {
			err = s.complete(ctx, n)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", part.what, err), n.kill())
		}
		t.add(part.what, fmt.Sprintf("%.1f", took.Seconds()))
		s.measure(s.sized(part.figure), took.Seconds())
		if part.figure == "restart_1m_ready" {
			if err := s.remember(n); err != nil {
				return errors.Join(err, n.kill())
			}
			if err := n.kill(); err != nil {
				return err
			}
			continue
		}
		stopped, err := n.halt()
		if err != nil {
			return err
		}
		if part.figure == "restart_1m_first_ready" {
			t.add("its orderly stop, which writes the gallery's snapshot", fmt.Sprintf("%.1f", stopped.Seconds()))
			s.measure(s.sized("restart_1m_stop"), stopped.Seconds())
		}
	}
	s.table(t)
	return nil
}

// remember what memory the node has.
func (s *scaleRun) remember(n *scaleNode) error {
	all, own, err := n.resident()
	s.measure(s.sized("restart_1m_rss_gb"), all/1e9)
	s.measure(s.sized("restart_1m_memory_gb"), own/1e9)
	return err
}

// complete makes sure that the node has every session and every face.
func (s *scaleRun) complete(ctx context.Context, n *scaleNode) error {
	c, err := client.New(client.Config{Server: n.server, CA: n.ca, Key: s.made.Admin})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	g, err := c.Gallery(ctx)
	if err != nil {
		return err
	}
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	most := int64(0)
	for _, log := range status.Audit {
		most = max(most, log.Size)
	}
	if g.Subjects.Templates < s.sessions || most < int64(11*s.sessions) {
		return fmt.Errorf("the node has %d templates and %d events of %d sessions", g.Subjects.Templates, most, s.sessions)
	}
	return nil
}
