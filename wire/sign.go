package wire

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the protocol fixes it
	"slices"
	"strings"
)

// hmacID names the annotation that signs a Pyro4 message.
const hmacID = "HMAC"

// Signed reports whether m carries a signature, right or wrong.
func (m *Message) Signed() bool {
	_, ok := m.Annotation(hmacID)
	return ok
}

// Sign adds a Pyro4 signature with key, the last thing to be done to a message before it
// is sent. What it does not cover is the header: type, flags, sequence number and
// serializer; and it can be repeated.
//
// Source: doc/wire.md "Signatures".
func (m *Message) Sign(key []byte) {
	m.Annotations = append(m.Annotations, Annotation{ID: [4]byte([]byte(hmacID)), Value: m.digest(key)})
}

// Verify reports whether m carries a signature with key. It takes the same time for
// every wrong one.
func (m *Message) Verify(key []byte) bool {
	got, ok := m.Annotation(hmacID)
	return ok && hmac.Equal(got, m.digest(key))
}

// digest covers the payload as it is on the wire and the values of all other annotations
// in the order of their ids. An id that stands twice counts each time: Pyro4 keeps the
// last, so that no message of its own has one.
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
	slices.SortStableFunc(values, func(a, b Annotation) int { return strings.Compare(string(a.ID[:]), string(b.ID[:])) })
	mac := hmac.New(sha1.New, key)
	mac.Write(m.Payload)
	for _, a := range values {
		mac.Write(a.Value)
	}
	return mac.Sum(nil)
}
