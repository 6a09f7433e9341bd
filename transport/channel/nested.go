package channel

import (
	"errors"
	"io"
)

// Nested is the codec of a channel inside another one, such as the HMAC channel inside TLS.
type Nested struct{ Outer, Inner Codec }

// Feed implements [Codec].
func (n *Nested) Feed(dst, in []byte) ([]byte, error) {
	b, outer := n.Outer.Feed(nil, in)
	dst, err := n.Inner.Feed(dst, b)
	switch {
	case err != nil:
		return dst, err
	case errors.Is(outer, io.EOF) && n.Inner.Cut() != nil:
		return dst, n.Inner.Cut()
	}
	return dst, outer
}

// Cut implements [Codec].
func (n *Nested) Cut() error { return n.Inner.Cut() }

// Seal implements [Codec].
func (n *Nested) Seal(dst, plain []byte) ([]byte, error) {
	b, err := n.Inner.Seal(nil, plain)
	if err != nil {
		return dst, err
	}
	return n.Outer.Seal(dst, b)
}

// End implements [Codec].
func (n *Nested) End(dst []byte) []byte {
	if b := n.Inner.End(nil); len(b) > 0 {
		dst, _ = n.Outer.Seal(dst, b) // an error ends both
	}
	return n.Outer.End(dst)
}

// Pending implements [Codec].
func (n *Nested) Pending() int { return n.Outer.Pending() + n.Inner.Pending() }

// Control implements [Codec].
func (n *Nested) Control(dst []byte) []byte {
	if b := n.Inner.Control(nil); len(b) > 0 {
		dst, _ = n.Outer.Seal(dst, b) // an error ends both
	}
	return n.Outer.Control(dst)
}
