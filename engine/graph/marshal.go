package graph

import (
	"encoding/binary"
	"fmt"
	"math"
)

// maxModel is where protobuf ends; a larger model needs external data, which
// Gatehouse's packs do not have.
const maxModel = math.MaxInt32

// Marshal gives the bytes of the ONNX file. The same graph gives the same
// bytes.
func (g *Graph) Marshal() ([]byte, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	var m message // ModelProto
	m.int(1, IRVersion)
	m.string(2, g.producer)
	m.embed(7, g.marshalGraph)
	m.embed(8, func(m *message) { // OperatorSetIdProto: "" is the default domain
		m.string(1, "")
		m.int(2, Opset)
	})
	for _, kv := range g.metadata {
		m.embed(14, func(m *message) { // StringStringEntryProto
			m.string(1, kv[0])
			m.string(2, kv[1])
		})
	}
	if g.err != nil {
		return nil, g.err
	}
	if len(m.b) > maxModel {
		return nil, fmt.Errorf("%w: %d bytes; an ONNX file ends at 2 GiB", ErrInvalid, len(m.b))
	}
	return m.b, nil
}

// marshalGraph writes a GraphProto.
func (g *Graph) marshalGraph(m *message) {
	for _, n := range g.nodes {
		m.embed(1, func(m *message) { g.marshalNode(m, n) })
	}
	m.string(2, g.name)
	for _, t := range g.tensors {
		m.embed(5, t.marshal)
	}
	for _, v := range g.inputs {
		m.embed(11, v.marshal)
	}
	for _, v := range g.outputs {
		m.embed(12, v.marshal)
	}
}

// marshalNode writes a NodeProto. The node is named after its first output,
// which is unique, so that a profile of a run names it.
func (g *Graph) marshalNode(m *message, n node) {
	for _, s := range n.inputs {
		m.string(1, s)
	}
	for _, s := range n.outputs {
		m.string(2, s)
	}
	m.string(3, n.outputs[0])
	m.string(4, n.op)
	for _, a := range n.attrs {
		m.embed(5, func(m *message) { // AttributeProto; 20 is its type
			m.string(1, a.Name)
			switch v := a.Value.(type) {
			case float32:
				m.float(2, v)
				m.int(20, 1)
			case int64:
				m.int(3, v)
				m.int(20, 2)
			case string:
				m.string(4, v)
				m.int(20, 3)
			case []int64:
				for _, i := range v {
					m.int(8, i)
				}
				m.int(20, 7)
			default:
				g.fail("%s: attribute %s is a %T; int64, float32, string and []int64 are known", n.op, a.Name, v)
			}
		})
	}
}

// marshal writes a TensorProto.
func (t tensor) marshal(m *message) {
	for _, d := range t.dims {
		m.int(1, d)
	}
	m.int(2, int64(t.typ))
	m.string(8, t.name)
	raw := make([]byte, 0, 4*len(t.floats)+8*len(t.ints))
	for _, f := range t.floats {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
	}
	for _, i := range t.ints {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(i))
	}
	m.bytes(9, raw)
}

// marshal writes a ValueInfoProto: TypeProto, Tensor, TensorShapeProto.
func (v value) marshal(m *message) {
	m.string(1, v.name)
	m.embed(2, func(m *message) {
		m.embed(1, func(m *message) {
			m.int(1, int64(v.typ))
			m.embed(2, func(m *message) {
				for axis, d := range v.dims {
					m.embed(1, func(m *message) {
						switch {
						case d >= 0:
							m.int(1, d)
						case axis == 0:
							m.string(2, "batch")
						default:
							m.string(2, fmt.Sprintf("%s_%d", v.name, axis))
						}
					})
				}
			})
		})
	})
}

// message is a protobuf message in the making.
type message struct{ b []byte }

func (m *message) tag(field, wire int) {
	m.b = binary.AppendUvarint(m.b, uint64(field<<3|wire))
}

func (m *message) int(field int, v int64) {
	m.tag(field, 0)
	m.b = binary.AppendUvarint(m.b, uint64(v))
}

func (m *message) float(field int, v float32) {
	m.tag(field, 5)
	m.b = binary.LittleEndian.AppendUint32(m.b, math.Float32bits(v))
}

func (m *message) bytes(field int, v []byte) {
	m.tag(field, 2)
	m.b = binary.AppendUvarint(m.b, uint64(len(v)))
	m.b = append(m.b, v...)
}

func (m *message) string(field int, v string) { m.bytes(field, []byte(v)) }

func (m *message) embed(field int, write func(*message)) {
	var sub message
	write(&sub)
	m.bytes(field, sub.b)
}
