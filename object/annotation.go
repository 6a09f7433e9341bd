package object

import "slices"

// Annotation is a named byte string beside the payload of a call or of its reply. Its sender is not verified.
type Annotation struct {
	ID    string // four ASCII characters
	Value []byte
}

// Bounds of the annotations of one call or of one reply. The bytes are those of ids and values.
const (
	MaxAnnotations     = 32
	MaxAnnotationBytes = 16 << 10
)

// reservedAnnotations are the ids to which the protocol or the host gives a meaning.
var reservedAnnotations = [...]string{"CORR", "HMAC", "STRM", "BLBI", "ONCE"}

// ReservedAnnotation reports whether objects neither receive nor send annotations with an id.
func ReservedAnnotation(id string) bool { return slices.Contains(reservedAnnotations[:], id) }

// ValidAnnotation reports whether an object may send annotations with an id: four of [A-Za-z0-9_-], not reserved.
func ValidAnnotation(id string) bool {
	return len(id) == 4 && ValidName(id) && !ReservedAnnotation(id)
}

// CheckAnnotations returns an error with CodeTooLarge for annotations beyond the bounds.
func CheckAnnotations(list []Annotation) error {
	n := 0
	for i := range list {
		n += len(list[i].ID) + len(list[i].Value)
	}
	if n > MaxAnnotationBytes || len(list) > MaxAnnotations {
		return Errorf(CodeTooLarge, "limit exceeded: %d annotations with %d bytes, at most %d with %d are accepted",
			len(list), n, MaxAnnotations, MaxAnnotationBytes)
	}
	return nil
}

// Handshake is the value that a client sent when it connected. It is not verified. It is immutable.
type Handshake struct {
	Format Format // encoding of Data
	Data   []byte // one value
}

// MaxHandshakeBytes bounds the value that a client sends when it connects.
const MaxHandshakeBytes = 4 << 10
