package wire

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the protocol fixes it
	"slices"
	"strings"
)

// hmacID is the id of the annotation with the signature of a Pyro4 message.
const hmacID = "HMAC"

// Signed reports whether m has a signature, valid or not.
func (m *Message) Signed() bool {
	_, ok := m.Annotation(hmacID)
	return ok
}

// Sign adds a Pyro4 signature with key. It must be the last change before m is sent. The signature does not cover the
// header (type, flags, sequence number, serializer) and does not prevent replay.
//
// Source: doc/wire.md "Signatures".
func (m *Message) Sign(key []byte) {
	m.Annotations = append(m.Annotations, Annotation{ID: [4]byte([]byte(hmacID)), Value: m.digest(key)})
}

// Verify reports whether m has a valid signature with key. The comparison takes constant time.
func (m *Message) Verify(key []byte) bool {
	got, ok := m.Annotation(hmacID)
	return ok && hmac.Equal(got, m.digest(key))
}

// digest returns the HMAC of the payload before inflation and of the values of all other annotations, sorted by id. A
// repeated id is included each time. Pyro4 keeps only the last one, but never sends a repeated id.
func (m *Message) digest(key []byte) []byte {
	values := make([]Annotation, 0, len(m.Annotations)+1)
	for _, a := range m.Annotations {
		if string(a.ID[:]) != hmacID && !m.omits(&a) {
			values = append(values, a)
		}
	}
	if m.HasCorr {
		values = append(values, Annotation{ID: [4]byte([]byte(corrID)), Value: m.Corr[:]})
	}
	slices.SortStableFunc(values, func(a, b Annotation) int {
		return strings.Compare(string(a.ID[:]), string(b.ID[:]))
	})
	mac := hmac.New(sha1.New, key)
	mac.Write(m.Payload)
	for _, a := range values {
		mac.Write(a.Value)
	}
	return mac.Sum(nil)
}
