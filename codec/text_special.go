package codec

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Words of eight equal bytes.
const (
	eachByte = 0x0101010101010101
	highBits = 0x80 * eachByte
)

// specialBytes is the set of bytes at which a reader or writer of quoted texts must stop: control characters below the
// blank, the backslash, the quote, and optionally bytes beyond ASCII. All other bytes are copied unchanged.
type specialBytes struct {
	quote uint64    // the quote in each byte
	high  uint64    // highBits if bytes beyond ASCII are special, else 0
	del   uint64    // eachByte if 0x7f is special, else 0; requires high
	has   [256]bool // the set
}

// The sets for texts in double and single quotes.
var (
	doubleQuoted = newSpecialBytes('"', true, false)
	singleQuoted = newSpecialBytes('\'', true, false)
	// The sets for texts in which bytes beyond ASCII are copied.
	doubleQuotedWide = newSpecialBytes('"', false, false)
	singleQuotedWide = newSpecialBytes('\'', false, false)
	// The sets for serpent's writer, which escapes 0x7f.
	doubleQuotedRepr = newSpecialBytes('"', true, true)
	singleQuotedRepr = newSpecialBytes('\'', true, true)
)

func newSpecialBytes(quote byte, high, del bool) *specialBytes {
	s := &specialBytes{quote: uint64(quote) * eachByte}
	if high {
		s.high = highBits
	}
	if del {
		s.del = eachByte
	}
	for c := range s.has {
		s.has[c] = c < ' ' || c == '\\' || c == int(quote) || high && c >= utf8.RuneSelf || del && c == 0x7f
	}
	return s
}

// quotedBy returns the set for texts in quotes.
func quotedBy(quote byte) *specialBytes {
	if quote == '"' {
		return doubleQuoted
	}
	return singleQuoted
}

// wideQuotedBy returns the set for texts in quotes, without bytes beyond ASCII.
func wideQuotedBy(quote byte) *specialBytes {
	if quote == '"' {
		return doubleQuotedWide
	}
	return singleQuotedWide
}

// plain returns a word whose high bits are all set if no byte of w is special or beyond ASCII. Its additions do not
// carry unless a byte is beyond ASCII, and the high bit of that one is not set.
func plain(w, quote, del uint64) uint64 {
	const belowBlank, nonzero = (0x80 - ' ') * eachByte, 0x7f * eachByte
	return (w + belowBlank) & ((w ^ quote) + nonzero) & ((w ^ '\\'*eachByte) + nonzero) &^ (w + del) &^ w
}

// skipPlain returns the index of the first 32 bytes of b from i that have a special byte or one beyond ASCII, or behind
// which b ends.
func (s *specialBytes) skipPlain(b []byte, i int) int {
	quote, del := s.quote, s.del
	for ; i+32 <= len(b); i += 32 {
		p := b[i : i+32]
		all := plain(binary.LittleEndian.Uint64(p), quote, del)
		all &= plain(binary.LittleEndian.Uint64(p[8:]), quote, del)
		all &= plain(binary.LittleEndian.Uint64(p[16:]), quote, del)
		all &= plain(binary.LittleEndian.Uint64(p[24:]), quote, del)
		if all&highBits != highBits {
			break
		}
	}
	return i
}

// longText is the length of a text without special bytes from which index uses skipPlain.
const longText = 32

// index returns the index of the first special byte of b, len(b) without one. It tests eight bytes at a time, and 32
// in a long text.
//
// A subtraction sets the high bit of a byte that is too small, and perhaps of bytes above it by borrowing. The addition
// carries out of 0xff only, which is special then. So the lowest marked byte is special, and no byte below it.
func (s *specialBytes) index(b []byte) int {
	const lowest, backslashes = ' ' * eachByte, '\\' * eachByte
	quote, high, del := s.quote, s.high, s.del
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if i == longText {
			if i = s.skipPlain(b, i); i+8 > len(b) {
				break
			}
		}
		w := binary.LittleEndian.Uint64(b[i : i+8])
		quotes, escapes := w^quote, w^backslashes
		marked := (w-lowest)&^w | (quotes-eachByte)&^quotes | (escapes-eachByte)&^escapes
		marked = marked&highBits | (w|(w+del))&high
		if marked != 0 {
			return i + bits.TrailingZeros64(marked)/8
		}
	}
	for ; i < len(b) && !s.has[b[i]]; i++ {
	}
	return i
}
