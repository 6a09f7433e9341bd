package wire

import (
	"encoding/binary"
	"math"

	"github.com/hearthhost/hearth/object"
)

// FirstByte is the first byte of every message.
const FirstByte = 'P'

const (
	magic        = "PYRO"
	prefixBytes  = 6 // magic and version, which determine the generation
	header4Bytes = 24
	header5Bytes = 40
	magic4       = 0x34E9 // added to the checksum of Pyro4
	magic5       = 0x4DC5 // last field of the header of Pyro5
	corrID       = "CORR"
	corrBytes    = 16

	maxAnnotations4 = math.MaxUint16 // bytes of all annotations in Pyro4
	maxPayload4     = math.MaxInt32
)

// Pyro4 uses the bits of Flags. Pyro5 lacks MetaOnConnect, has the next two flags one bit lower, and has a flag for a
// correlation id.
const (
	flags4Mask   = 0x7F
	lowFlags     = Exception | Compressed | Oneway | Batch
	item5        = 0x10
	keep5        = 0x20
	correlation5 = 0x40
)

// header holds the size of a header and the sizes that it announces.
type header struct {
	size        int // bytes of the header itself
	annotations uint32
	payload     uint32
}

// guessProtocol returns the generation of an unsupported version number, 0 if unknown. The peer then receives its
// rejection in a form that it can read.
func guessProtocol(version uint16) Protocol {
	switch {
	case version/10 == 4:
		return Pyro4
	case version/100 == 5:
		return Pyro5
	}
	return 0
}

// parse4 fills m from a header of Pyro4. The announced sizes are not yet checked.
func parse4(b []byte, m *Message) (header, error) {
	kind, payload := binary.BigEndian.Uint16(b[6:]), binary.BigEndian.Uint32(b[12:])
	h := header{size: header4Bytes, annotations: uint32(binary.BigEndian.Uint16(b[18:]))}
	if binary.BigEndian.Uint16(b[22:]) != checksum4(b) {
		return h, object.Errorf(object.CodeInvalid, "header checksum mismatch")
	}
	if payload > maxPayload4 {
		return h, object.Errorf(object.CodeInvalid, "negative payload length")
	}
	h.payload = payload
	// A type of more than eight bits becomes 0, which is not a type.
	if kind <= math.MaxUint8 {
		m.Type = Type(kind)
	}
	m.Protocol = Pyro4
	m.Flags = Flags(binary.BigEndian.Uint16(b[8:]) & flags4Mask)
	m.Seq = binary.BigEndian.Uint16(b[10:])
	m.Serializer = binary.BigEndian.Uint16(b[16:])
	return h, nil
}

// parse5 fills m from a header of Pyro5. The announced sizes are not yet checked.
func parse5(b []byte, m *Message) (header, error) {
	h := header{size: header5Bytes}
	if binary.BigEndian.Uint16(b[38:]) != magic5 {
		return h, object.Errorf(object.CodeInvalid, "invalid message or protocol version")
	}
	h.payload = binary.BigEndian.Uint32(b[12:])
	h.annotations = binary.BigEndian.Uint32(b[16:])
	bits := binary.BigEndian.Uint16(b[8:])
	m.Protocol = Pyro5
	m.Type = Type(b[6])
	m.Serializer = uint16(b[7])
	m.Flags = Flags(bits) & lowFlags
	if bits&item5 != 0 {
		m.Flags |= ItemStream
	}
	if bits&keep5 != 0 {
		m.Flags |= KeepSerialized
	}
	m.Seq = binary.BigEndian.Uint16(b[10:])
	if bits&correlation5 != 0 {
		m.HasCorr = true
		copy(m.Corr[:], b[20:36])
	}
	return h, nil
}

// checksum4 returns the checksum of a header of Pyro4: the sum modulo 65536 of all fields except the reserved one.
func checksum4(b []byte) uint16 {
	n := binary.BigEndian.Uint32(b[12:])
	sum := uint32(magic4)
	for _, offset := range [...]int{4, 6, 8, 10, 16, 18} {
		sum += uint32(binary.BigEndian.Uint16(b[offset:]))
	}
	return uint16(sum + n)
}
