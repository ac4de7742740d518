package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"gatehouse/appliance/api"
)

// maxEvent bytes: a session with all its signals has some twenty thousand.
const maxEvent = 1 << 20

// Events gives a session at once and at each of its changes, until it is
// decided or the node ends the stream.
func (c *Client) Events(ctx context.Context, session string) iter.Seq2[*api.Session, error] {
	return func(yield func(*api.Session, error) bool) {
		r := get("v1", "sessions", session, "events")
		r.header = map[string][]string{"Accept": {"text/event-stream"}}
		resp, err := c.send(ctx, r)
		if err != nil {
			yield(nil, err)
			return
		}
		defer resp.Body.Close()
		for e, err := range serverSent(resp.Body) {
			switch {
			case err != nil && !errors.Is(err, ErrAnswer):
				err = c.unreachable(ctx, err)
				fallthrough
			case err != nil:
				yield(nil, err)
				return
			case e.kind != "session": // of a newer node
				continue
			}
			s := new(api.Session)
			if err := json.Unmarshal([]byte(e.data), s); err != nil {
				yield(nil, fmt.Errorf("%w: an event: %w; check that node and client are of one version", ErrAnswer, err))
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// event of a stream.
type event struct{ kind, data string }

// serverSent reads a stream of events (HTML, section 9.2.6) whose lines end
// with LF or CRLF. Ids and retry times are passed over; an event that the
// stream's end cuts off is dropped.
func serverSent(r io.Reader) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxEvent)
		var kind string
		var data strings.Builder
		seen := false
		for lines.Scan() {
			line := lines.Text()
			if line == "" {
				if seen && !yield(event{kind: kind, data: strings.TrimSuffix(data.String(), "\n")}, nil) {
					return
				}
				kind, seen = "", false
				data.Reset()
				continue
			}
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch name {
			case "event":
				kind = value
			case "data":
				if data.Len()+len(value) > maxEvent {
					yield(event{}, fmt.Errorf("%w: an event has more than %d bytes", ErrAnswer, maxEvent))
					return
				}
				data.WriteString(value + "\n")
				seen = true
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(event{}, fmt.Errorf("%w: an event has more than %d bytes", ErrAnswer, maxEvent))
		case err != nil:
			yield(event{}, err)
		}
	}
}
