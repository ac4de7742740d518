package command_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"gatehouse/store/command"
)

var update = flag.Bool("update", false, "write golden files that are missing; those that are there stay as they are")

// types that there are.
func types() []command.Type {
	var all []command.Type
	for n := range command.Type_name {
		if n != int32(command.Type_NONE) {
			all = append(all, command.Type(n))
		}
	}
	return all
}

// Each type has the bytes of a command in which every field was set when the
// type was made, and the same as text. They are never written again: a program
// that does not read them, or writes the same command otherwise, forks from
// its older neighbours.
func TestGoldenBytes(t *testing.T) {
	for _, typ := range types() {
		name := filepath.Join("testdata", fmt.Sprintf("%s.v%d", strings.ToLower(typ.String()), command.Since(typ)))
		if _, err := os.Stat(name + ".bin"); errors.Is(err, os.ErrNotExist) && *update {
			write(t, name, typ)
		}
		want, err := os.ReadFile(name + ".bin")
		if err != nil {
			t.Errorf("a type without its golden bytes (go test -update makes them): %v", err)
			continue
		}
		c, payload, err := command.Decode(want)
		if err != nil {
			t.Errorf("%v: %v", typ, err)
			continue
		}
		text, err := os.ReadFile(name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		envelope, body, _ := strings.Cut(string(text), separator)
		wantCommand, wantPayload := &command.Command{}, payload.ProtoReflect().New().Interface()
		if err := errors.Join(prototext.Unmarshal([]byte(envelope), wantCommand), prototext.Unmarshal([]byte(body), wantPayload)); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(payload, wantPayload) {
			t.Errorf("%v: the payload is read as %v", typ, payload)
		}
		again, err := command.New(c.Type, payload)
		if err != nil || !bytes.Equal(again.Payload, c.Payload) {
			t.Errorf("%v: the payload is written otherwise, %v", typ, err)
		}
		wantCommand.Payload = c.Payload
		if !proto.Equal(c, wantCommand) || c.Type != typ {
			t.Errorf("%v: the envelope is read as %v", typ, c)
		}
		if got, err := command.Encode(c); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: it is written as\n%x, %v\ninstead of\n%x", typ, got, err, want)
		}
	}
}

const separator = "\n--- payload\n"

func write(t *testing.T, name string, typ command.Type) {
	t.Helper()
	c := full(typ)
	b, err := command.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	_, payload, err := command.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	c.Payload = nil
	// The package adds spaces at random, so that nobody depends on them.
	text := strings.ReplaceAll(prototext.Format(c)+separator+prototext.Format(payload), ":  ", ": ")
	if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(name+".bin", b, 0o644), os.WriteFile(name+".txt", []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// full is a command of a type with every field set.
func full(typ command.Type) *command.Command {
	n := 0
	c := &command.Command{}
	fill(c.ProtoReflect(), &n)
	c.Version, c.Type = command.Since(typ), typ
	empty, err := proto.Marshal(&command.Command{Version: c.Version, Type: typ})
	if err != nil {
		panic(err)
	}
	c.Payload = nil
	if _, payload, err := command.Decode(empty); err == nil {
		fill(payload.ProtoReflect(), &n)
		if made, err := command.New(typ, payload); err == nil {
			c.Payload = made.Payload
		}
	}
	return c
}

// fill sets every field to something that no other one has.
func fill(m protoreflect.Message, n *int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		*n++
		switch {
		case f.IsMap():
			for _, k := range []string{"b", "a"} {
				*n++
				m.Mutable(f).Map().Set(protoreflect.ValueOfString(k).MapKey(), scalar(f.MapValue(), *n))
			}
		case f.IsList() && f.Message() != nil:
			fill(m.Mutable(f).List().AppendMutable().Message(), n)
		case f.IsList():
			m.Mutable(f).List().Append(scalar(f, *n))
			m.Mutable(f).List().Append(scalar(f, *n+1000))
		case f.Message() != nil:
			fill(m.Mutable(f).Message(), n)
		default:
			m.Set(f, scalar(f, *n))
		}
	}
}

func scalar(f protoreflect.FieldDescriptor, n int) protoreflect.Value {
	text := fmt.Sprintf("%s %d", f.Name(), n)
	if f.Name() == "action" { // of a closed list
		text = "session.create"
	}
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(text))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(n) << 33)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(n) << 33)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(n) << 9)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	}
	panic("a kind of field that has no golden value: " + f.Kind().String())
}
