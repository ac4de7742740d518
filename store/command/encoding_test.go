package command_test

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
)

func TestSizeCap(t *testing.T) {
	c, err := command.New(command.Type_SUBMIT, &command.Submit{Session: "ses_1"})
	if err != nil {
		t.Fatal(err)
	}
	c.Id = "x" // a field of its own, so that one more byte of it is one more byte
	c.Idempotency = &command.Idempotency{Answer: make([]byte, 100_000)}
	b, err := command.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	room := command.MaxSize - len(b)
	c.Idempotency.Answer = make([]byte, 100_000+room)
	b, err = command.Encode(c)
	if err != nil || len(b) != command.MaxSize {
		t.Fatalf("%d bytes of %d: %v", len(b), command.MaxSize, err)
	}
	if _, _, err := command.Decode(b); err != nil {
		t.Error(err)
	}
	c.Idempotency.Answer = append(c.Idempotency.Answer, 0)
	if _, err := command.Encode(c); !errors.Is(err, command.ErrTooLarge) {
		t.Errorf("%v", err)
	}
	if b, err = proto.Marshal(c); err != nil {
		t.Fatal(err)
	}
	if _, _, err := command.Decode(b); !errors.Is(err, command.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

func TestEventsCap(t *testing.T) {
	c := full(command.Type_RECORD)
	c.Events = make([]*command.Event, command.MaxEvents)
	for i := range c.Events {
		c.Events[i] = &command.Event{Id: "evt", Action: "node.start"}
	}
	b, err := command.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := command.Decode(b); err != nil {
		t.Error(err)
	}
	c.Events = append(c.Events, &command.Event{Id: "evt", Action: "node.start"})
	if _, err := command.Encode(c); !errors.Is(err, command.ErrTooLarge) {
		t.Errorf("%v", err)
	}
	if b, err = proto.Marshal(c); err != nil {
		t.Fatal(err)
	}
	if _, _, err := command.Decode(b); !errors.Is(err, command.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

func TestWhatIsNotUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*command.Command)
		want   error
	}{
		"no type":               {func(c *command.Command) { c.Type = command.Type_NONE }, command.ErrUnknown},
		"a type of tomorrow":    {func(c *command.Command) { c.Type = 1 << 20 }, command.ErrUnknown},
		"a negative type":       {func(c *command.Command) { c.Type = -1 }, command.ErrUnknown},
		"no version":            {func(c *command.Command) { c.Version = 0 }, command.ErrUnknown},
		"tomorrow's version":    {func(c *command.Command) { c.Version = command.Version + 1 }, command.ErrUnknown},
		"a payload that is cut": {func(c *command.Command) { c.Payload = c.Payload[:len(c.Payload)-1] }, command.ErrCorrupt},
		"another payload":       {func(c *command.Command) { c.Payload = []byte{0x0a, 0x01, 0xff} }, command.ErrCorrupt}, // text that is not UTF-8
	} {
		made := full(command.Type_COMPLETE)
		c.change(made)
		b, err := proto.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := command.Decode(b); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	b, err := command.Encode(full(command.Type_COMPLETE))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(b) { // cut anywhere: an error, or a command that lacks fields at its end
		if _, _, err := command.Decode(b[:n]); err != nil && !errors.Is(err, command.ErrCorrupt) && !errors.Is(err, command.ErrUnknown) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if _, _, err := command.Decode(nil); !errors.Is(err, command.ErrUnknown) {
		t.Errorf("nothing: %v", err)
	}
}

func TestEncodingIsDeterministic(t *testing.T) {
	for _, typ := range types() {
		first, err := command.Encode(full(typ))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if again, err := command.Encode(full(typ)); err != nil || !bytes.Equal(again, first) {
				t.Fatalf("%v: %v", typ, err)
			}
		}
	}
}

// A type is written under the version that it came with: who knows that version
// knows the type.
func TestVersionOfATypeThatIsNew(t *testing.T) {
	newest := uint32(0)
	for _, typ := range types() {
		want := uint32(1)
		switch {
		case typ > command.Type_REASSIGN:
			want = 3
		case typ > command.Type_COSIGN:
			want = 2
		}
		c, err := command.New(typ, nil)
		if err != nil || c.Version != want || command.Since(typ) != want {
			t.Errorf("%v: version %d since %d, want %d: %v", typ, c.GetVersion(), command.Since(typ), want, err)
			continue
		}
		b, err := command.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		got, payload, err := command.Decode(b)
		if err != nil || !proto.Equal(got, c) || payload == nil {
			t.Errorf("%v: read as %v, %v: %v", typ, got, payload, err)
		}
		newest = max(newest, want)
	}
	if newest != command.Version {
		t.Errorf("version %d, and the newest type is of %d", command.Version, newest)
	}
}

// What a change does not give is not the same as nothing given.
func TestAChangeGivesSomeFields(t *testing.T) {
	for _, want := range []*command.ChangeMember{
		{Node: "nod_a"},
		{Node: "nod_a", Address: proto.String(""), Name: proto.String(""), Key: []byte{}, Release: proto.String(""), Commands: proto.Uint32(0), Draining: proto.Bool(false)},
		{Node: "nod_a", Draining: proto.Bool(true)},
	} {
		c, err := command.New(command.Type_CHANGE_MEMBER, want)
		if err != nil {
			t.Fatal(err)
		}
		b, err := command.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		_, p, err := command.Decode(b)
		got, ok := p.(*command.ChangeMember)
		if err != nil || !ok || !proto.Equal(got, want) || (got.Draining == nil) != (want.Draining == nil) || (got.Key == nil) != (want.Key == nil) {
			t.Errorf("%v is read as %v: %v", want, p, err)
		}
	}
}

// The golden bytes of FOUND are older than its version.
func TestAFoundingNamesTheFirstVersion(t *testing.T) {
	for version, want := range map[uint32][]byte{0: nil, 1: {0x20, 1}, 2: {0x20, 2}} {
		c, err := command.New(command.Type_FOUND, &command.Found{Version: version})
		if err != nil || c.Version != 1 || !bytes.Equal(c.Payload, want) {
			t.Errorf("version %d: %v, %v", version, c, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, typ := range types() {
		b, err := command.Encode(full(typ))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, payload, err := command.Decode(b)
		if err != nil {
			if !errors.Is(err, command.ErrCorrupt) && !errors.Is(err, command.ErrUnknown) || c != nil || payload != nil {
				t.Fatalf("%v, %v, %v", c, payload, err)
			}
			return
		}
		// What was read can be written, and then no more changes.
		once, err := command.Encode(c)
		// Numbers were spelled shorter than they are written; or an event has an
		// action that no program knows, at which Apply stops.
		if errors.Is(err, command.ErrTooLarge) || errors.Is(err, command.ErrUnknown) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := command.Decode(once)
		if err != nil || !proto.Equal(c, again) {
			t.Fatalf("%v, then %v, %v", c, again, err)
		}
		twice, err := command.Encode(again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%x, then %x, %v", once, twice, err)
		}
	})
}
