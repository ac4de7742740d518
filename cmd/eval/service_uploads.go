package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"gatehouse/appliance/api"
)

func uploadFigures() []figure {
	return []figure{goal("upload_memory_kb", "KB", 0, "<", 1024)} // requirement 13.4
}

const (
	uploadsHeld = 64
	uploadBytes = 20_000_000
)

// uploads measures the memory of uploads that stand still half-way. The node
// has done nothing before: what it holds free from earlier work would hide it.
func (s *serviceRun) uploads(ctx context.Context) (err error) {
	n, err := s.startNode(ctx, s.dir+"/uploads", credentials{})
	if err != nil {
		return err
	}
	if err := s.hold(ctx, n); err != nil {
		return errors.Join(err, n.kill())
	}
	return n.stop()
}

// held is the memory of a node at one time, in bytes.
type held struct{ anonymous, goInUse float64 }

func (n *servedNode) held(ctx context.Context) (h held, err error) {
	m, err := n.samples(ctx)
	if err != nil {
		return h, err
	}
	for _, name := range []string{"go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes"} {
		v, ok := m[name]
		if !ok {
			return h, fmt.Errorf("/metrics has no %s", name)
		}
		h.goInUse += v
	}
	h.anonymous, err = n.anonymous()
	return h, err
}

func (s *serviceRun) hold(ctx context.Context, n *servedNode) error {
	c, err := n.caller()
	if err != nil {
		return err
	}
	var sessions []string
	for range uploadsHeld {
		x, err := c.CreateSession(ctx, "", sessionRequest())
		if err != nil {
			return err
		}
		sessions = append(sessions, x.Id)
	}
	before, err := n.held(ctx)
	if err != nil {
		return err
	}
	// The uploads are given up in the end: nothing of them is kept.
	holding, giveUp := context.WithCancel(ctx)
	var halfWay, ended sync.WaitGroup
	defer func() { giveUp(); ended.Wait() }()
	failed := make(chan error, uploadsHeld)
	for _, id := range sessions {
		body := &slowBody{half: uploadBytes / 2, left: uploadBytes, there: make(chan struct{}), done: holding.Done()}
		halfWay.Add(1)
		ended.Go(func() { failed <- n.upload(holding, id, body) })
		go func() {
			defer halfWay.Done()
			select {
			case <-body.there:
			case <-holding.Done():
			}
		}()
	}
	reached := make(chan struct{})
	go func() { halfWay.Wait(); close(reached) }()
	select {
	case <-reached:
	case err := <-failed:
		return fmt.Errorf("an upload ended before it was half-way: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	}
	var most held
	for range 5 { // the node takes in what is on its way; a collection may come between
		now, err := n.held(ctx)
		if err != nil {
			return err
		}
		most.anonymous, most.goInUse = max(most.anonymous, now.anonymous), max(most.goInUse, now.goInUse)
		time.Sleep(500 * time.Millisecond)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("an upload did not stand still: %w", err)
	default:
	}
	grown := func(before, most float64) float64 { return (most - before) / 1024 / uploadsHeld }
	process, goes := grown(before.anonymous, most.anonymous), grown(before.goInUse, most.goInUse)
	t := table{title: fmt.Sprintf("Memory of %d uploads of %d MB, each half-way on a connection of its own", uploadsHeld, uploadBytes/1_000_000), head: []string{"", "before, MB", "meanwhile, MB", "KiB for each"},
		note: "The larger growth counts. Both hold what is not collected yet."}
	for _, row := range []struct {
		name         string
		before, most float64
		grown        float64
	}{{"the process, without mapped files", before.anonymous, most.anonymous, process}, {"Go's heap and stacks in use", before.goInUse, most.goInUse, goes}} {
		t.add(row.name, fmt.Sprintf("%.1f", row.before/1e6), fmt.Sprintf("%.1f", row.most/1e6), fmt.Sprintf("%.0f", row.grown))
	}
	s.table(t)
	s.measure("upload_memory_kb", max(process, goes))
	return nil
}

// upload sends a picture; its end is an error, as it is given up.
func (n *servedNode) upload(ctx context.Context, session string, body io.Reader) error {
	t := n.transport()
	defer t.CloseIdleConnections()
	r, err := n.request(ctx, http.MethodPut, "/v1/sessions/"+session+"/evidence/"+string(api.SlotDocumentFront), body)
	if err != nil {
		return err
	}
	r.ContentLength = uploadBytes
	r.Header.Set("Content-Type", "image/jpeg")
	resp, err := (&http.Client{Transport: t}).Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	return errors.Join(fmt.Errorf("the node answered %d: %s", resp.StatusCode, b), err)
}

// slowBody begins as a JPEG does, and stands still half-way.
type slowBody struct {
	half, left int
	begun      bool
	there      chan struct{} // closed half-way
	done       <-chan struct{}
}

func (s *slowBody) Read(p []byte) (int, error) {
	if s.left <= s.half {
		close(s.there)
		<-s.done
		return 0, io.ErrUnexpectedEOF
	}
	n := min(len(p), s.left-s.half)
	clear(p[:n])
	if !s.begun {
		n = copy(p, "\xff\xd8\xff\xe0")
		s.begun = true
	}
	s.left -= n
	return n, nil
}
