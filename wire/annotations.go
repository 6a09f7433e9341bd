package wire

import (
	"encoding/binary"

	"github.com/hearthhost/hearth/object"
)

// maxAnnotations bounds the annotations of a message. An empty one costs its sender eight bytes and this process a
// list element.
const maxAnnotations = 256

// annotate fills m.Annotations, and in Pyro4 the correlation id, from the annotations area b. The annotations alias
// b. The error for a malformed CORR is returned after the whole area is read.
func (m *Message) annotate(b []byte) error {
	head := chunkHead(m.Protocol)
	var badCorr error
	for n := 0; len(b) > 0; n++ {
		if n == maxAnnotations {
			return object.Errorf(object.CodeTooLarge, "more than %d annotations", maxAnnotations)
		}
		if len(b) < head {
			return object.Errorf(object.CodeInvalid, "malformed annotations: %d stray bytes", len(b))
		}
		var size uint64
		if m.Protocol == Pyro4 {
			size = uint64(binary.BigEndian.Uint16(b[4:]))
		} else {
			size = uint64(binary.BigEndian.Uint32(b[4:]))
		}
		if size > uint64(len(b)-head) {
			return object.Errorf(object.CodeInvalid,
				"malformed annotations: %d bytes announced, %d left", size, len(b)-head)
		}
		id, value := [4]byte(b), b[head:head+int(size):head+int(size)]
		if !ascii(id) {
			return object.Errorf(object.CodeInvalid, "malformed annotations: id is not ASCII")
		}
		b = b[head+int(size):]
		if m.Protocol != Pyro4 || string(id[:]) != corrID {
			m.Annotations = append(m.Annotations, Annotation{ID: id, Value: value})
			continue
		}
		badCorr = nil
		m.HasCorr = len(value) == corrBytes
		if !m.HasCorr {
			m.Corr = [corrBytes]byte{}
			badCorr = &object.Error{
				Code:   object.CodeInvalid,
				Reason: object.ReasonValue,
				Msg:    "correlation id is not 16 bytes long",
			}
			continue
		}
		m.Corr = [corrBytes]byte(value)
	}
	return badCorr
}

// chunkHead returns the size of an annotation's id and length.
func chunkHead(p Protocol) int {
	if p == Pyro4 {
		return 6
	}
	return 8
}

func ascii(id [4]byte) bool { return (id[0]|id[1]|id[2]|id[3])&0x80 == 0 }
