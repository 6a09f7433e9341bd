package wire

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/hearthhost/hearth/object"
)

// Append appends m to dst as one complete message. One Write can send it, or several of them. In Pyro4 the
// correlation id is written as the first annotation, CORR; a CORR in m.Annotations is omitted. Flags that m.Protocol
// lacks are omitted.
//
// If the length fields of the protocol cannot hold m, it returns dst unchanged with CodeTooLarge. For other values
// that the protocol cannot represent it returns CodeInvalid.
func Append(dst []byte, m *Message) ([]byte, error) {
	dst, err := appendHead(dst, m, len(m.Payload), len(m.Payload))
	if err != nil {
		return dst, err
	}
	return append(dst, m.Payload...), nil
}

// AppendHead is [Append] without the payload, for callers that write a large payload separately. The caller must
// write exactly payload bytes next. m.Payload is ignored.
func AppendHead(dst []byte, m *Message, payload int) ([]byte, error) {
	return appendHead(dst, m, payload, 0)
}

// appendHead appends all of m except its payload. It reserves space for more bytes behind that.
func appendHead(dst []byte, m *Message, payload, more int) ([]byte, error) {
	size, err := m.annotationBytes()
	if err != nil {
		return dst, err
	}
	switch {
	case m.Type < Connect || m.Type > Ping:
		return dst, object.Errorf(object.CodeInvalid, "message type %d", m.Type)
	case m.Protocol == Pyro4:
		if size > maxAnnotations4 || payload > maxPayload4 {
			return dst, tooLong(payload, size)
		}
		dst = append4(slices.Grow(dst, header4Bytes+size+more), m, payload, size)
	case m.Protocol == Pyro5:
		if m.Serializer > math.MaxUint8 {
			return dst, object.Errorf(object.CodeInvalid, "serializer %d", m.Serializer)
		}
		if int64(size) > math.MaxUint32 || int64(payload) > math.MaxUint32 {
			return dst, tooLong(payload, size)
		}
		dst = append5(slices.Grow(dst, header5Bytes+size+more), m, payload, size)
	default:
		return dst, object.Errorf(object.CodeInvalid, "protocol %d", m.Protocol)
	}
	return dst, nil
}

func tooLong(payload, annotations int) error {
	return object.Errorf(object.CodeTooLarge,
		"message too large: %d bytes of payload, %d of annotations", payload, annotations)
}

// annotationBytes returns the size of the annotations area of m.
func (m *Message) annotationBytes() (int, error) {
	head := chunkHead(m.Protocol)
	size, n := 0, 0
	if m.Protocol == Pyro4 && m.HasCorr {
		size += head + corrBytes
		n++
	}
	for i := range m.Annotations {
		a := &m.Annotations[i]
		if !ascii(a.ID) {
			return 0, object.Errorf(object.CodeInvalid, "annotation id is not ASCII")
		}
		if m.omits(a) {
			continue
		}
		size += head + len(a.Value)
		n++
	}
	if n > maxAnnotations {
		return 0, object.Errorf(object.CodeTooLarge, "more than %d annotations", maxAnnotations)
	}
	return size, nil
}

// omits reports whether an annotation is not written because a field of m replaces it.
func (m *Message) omits(a *Annotation) bool {
	return m.Protocol == Pyro4 && string(a.ID[:]) == corrID
}

func append4(dst []byte, m *Message, payload, annotations int) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(Pyro4))
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Type))
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Flags)&flags4Mask)
	dst = binary.BigEndian.AppendUint16(dst, m.Seq)
	dst = binary.BigEndian.AppendUint32(dst, uint32(payload))
	dst = binary.BigEndian.AppendUint16(dst, m.Serializer)
	dst = binary.BigEndian.AppendUint16(dst, uint16(annotations))
	dst = append(dst, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, checksum4(dst[start:]))
	if m.HasCorr {
		dst = append(dst, corrID...)
		dst = binary.BigEndian.AppendUint16(dst, corrBytes)
		dst = append(dst, m.Corr[:]...)
	}
	for i := range m.Annotations {
		if a := &m.Annotations[i]; !m.omits(a) {
			dst = append(dst, a.ID[:]...)
			dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.Value)))
			dst = append(dst, a.Value...)
		}
	}
	return dst
}

func append5(dst []byte, m *Message, payload, annotations int) []byte {
	bits := uint16(m.Flags & lowFlags)
	if m.Flags&ItemStream != 0 {
		bits |= item5
	}
	if m.Flags&KeepSerialized != 0 {
		bits |= keep5
	}
	var corr [corrBytes]byte
	if m.HasCorr {
		bits |= correlation5
		corr = m.Corr
	}
	dst = append(dst, magic...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(Pyro5))
	dst = append(dst, byte(m.Type), byte(m.Serializer))
	dst = binary.BigEndian.AppendUint16(dst, bits)
	dst = binary.BigEndian.AppendUint16(dst, m.Seq)
	dst = binary.BigEndian.AppendUint32(dst, uint32(payload))
	dst = binary.BigEndian.AppendUint32(dst, uint32(annotations))
	dst = append(dst, corr[:]...)
	dst = append(dst, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, magic5)
	for i := range m.Annotations {
		a := &m.Annotations[i]
		dst = append(dst, a.ID[:]...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(a.Value)))
		dst = append(dst, a.Value...)
	}
	return dst
}
