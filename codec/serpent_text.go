package codec

import (
	"github.com/hearthhost/hearth/object"
)

// The rules of serpent for texts and for bytes literals.
var (
	serpentText = textRules{
		reason:   object.ReasonSyntax,
		rejected: serpentRejected,
		control:  serpentControl,
		escape:   func(b []byte) (rune, int, bool) { return serpentEscape(b, false) },
	}
	serpentBytes = textRules{
		reason:   object.ReasonSyntax,
		bytes:    true,
		rejected: serpentRejected,
		control:  serpentControl,
		escape:   func(b []byte) (rune, int, bool) { return serpentEscape(b, true) },
	}
)

// serpentRejected are the control characters that Python rejects in a literal, as bits.
const serpentRejected = 1<<0 | 1<<'\n' | 1<<'\r'

// serpentControl returns the error for such a control character.
func serpentControl(c byte, offset int) error {
	if c == 0 {
		return zeroByte(offset)
	}
	return invalid(object.ReasonSyntax, "line ends inside a text at byte %d", offset)
}

// serpentEscape returns the code point and the length of the escape sequence at the start of b. Bytes literals have no
// \u and \U, and their code points are bytes.
func serpentEscape(b []byte, isBytes bool) (c rune, length int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	if c, ok := letterEscape(b[0]); ok {
		return c, 1, true
	}
	switch b[0] {
	case '\'':
		return '\'', 1, true
	case 'a':
		return '\a', 1, true
	case 'v':
		return '\v', 1, true
	case 'x':
		c, ok = hexRune(b[1:], 2)
		return c, 3, ok
	case 'u':
		c, ok = hexRune(b[1:], 4)
		return c, 5, ok && !isBytes
	case 'U':
		c, ok = hexRune(b[1:], 8)
		return c, 9, ok && !isBytes
	}
	for length < len(b) && length < 3 && b[length] >= '0' && b[length] <= '7' {
		c = c<<3 | rune(b[length]-'0')
		length++
	}
	return c, length, length > 0 && (!isBytes || c <= 0xff)
}

// text reads the text, or the content of the bytes literal, at r.pos.
func (r *serpentReader) text(isBytes bool) ([]byte, error) {
	if isBytes {
		return r.quoted(&serpentBytes)
	}
	return r.quoted(&serpentText)
}

// stableText reads a text that stays valid after the next read. The error for any other value starts with label.
func (r *serpentReader) stableText(label string) ([]byte, error) {
	c, err := r.peek()
	if err != nil {
		return nil, err
	}
	if c != '\'' && c != '"' {
		return nil, r.typeError(label + " is not a text")
	}
	b, err := r.text(false)
	r.scratch = nil // the text may alias it
	return b, err
}
