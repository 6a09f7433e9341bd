package codec

import (
	"math"

	"github.com/hearthhost/hearth/object"
)

// jsonText are json's rules for texts.
var jsonText = textRules{
	prefix:   "json: ",
	reason:   object.ReasonValue,
	rejected: math.MaxUint32,
	control: func(_ byte, offset int) error {
		return invalid(object.ReasonValue, "json: control character at byte %d", offset)
	},
	escape: jsonEscape,
}

// jsonEscape returns the code point and the length of the escape sequence at the start of b.
func jsonEscape(b []byte) (c rune, length int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	if c, ok := letterEscape(b[0]); ok {
		return c, 1, true
	}
	switch b[0] {
	case '/':
		return '/', 1, true
	case 'u':
		c, ok = hexRune(b[1:], 4)
		return c, 5, ok
	}
	return 0, 0, false
}

// text reads the text at r.pos.
func (r *jsonReader) text() ([]byte, error) { return r.quoted(&jsonText) }

// stableText reads a text that stays valid after the next read. The error for any other value starts with label.
func (r *jsonReader) stableText(label string) ([]byte, error) {
	if r.peek() != '"' {
		return nil, r.typeError(label + " is not a text")
	}
	b, err := r.text()
	r.scratch = nil // the text may alias it
	return b, err
}
