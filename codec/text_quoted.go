package codec

import (
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// textRules are the rules of a format for quoted texts.
type textRules struct {
	prefix   string                                       // start of error messages
	reason   object.Reason                                // of errors in texts
	bytes    bool                                         // ASCII only, an escape is one byte
	rejected uint32                                       // control characters that are errors, as bits
	control  func(c byte, offset int) error               // error for such a control character
	escape   func(b []byte) (c rune, length int, ok bool) // code point of the escape sequence behind a backslash
}

// quoted reads the text that starts at the quote at r.pos. The result aliases the document. If the text has escapes,
// the result aliases r.scratch.
func (r *source) quoted(rules *textRules) ([]byte, error) {
	doc := r.doc
	quote, start := doc[r.pos], r.pos+1
	special, wide := quotedBy(quote), false
	for i := start; ; i++ {
		i += special.index(doc[i:])
		if i == len(doc) {
			return nil, rules.unclosed(start - 1)
		}
		switch c := doc[i]; {
		case c == quote:
			b := doc[start:i:i]
			if wide {
				if err := rules.checkRun(b, start); err != nil {
					return nil, err
				}
			}
			r.pos = i + 1
			return b, nil
		case c == '\\':
			return r.escaped(rules, start, i)
		case c >= utf8.RuneSelf:
			special, wide = wideQuotedBy(quote), true // the text is checked at its end
		case rules.rejected>>c&1 != 0:
			return nil, rules.control(c, i)
		}
	}
}

// escaped reads the text that starts at start and has its first backslash at i.
func (r *source) escaped(rules *textRules, start, i int) ([]byte, error) {
	quote := r.doc[start-1]
	special := wideQuotedBy(quote) // each run is checked at its end
	b := r.scratch[:0]
	run := start // start of the bytes that are not yet in b
	for {
		i += special.index(r.doc[i:])
		if i == len(r.doc) {
			return nil, rules.unclosed(start - 1)
		}
		c := r.doc[i]
		if c < ' ' {
			if rules.rejected>>c&1 != 0 {
				return nil, rules.control(c, i)
			}
			i++
			continue
		}
		if err := rules.checkRun(r.doc[run:i], run); err != nil {
			return nil, err
		}
		b = append(b, r.doc[run:i]...)
		if c == quote {
			r.pos, r.scratch = i+1, b
			return b, nil
		}
		esc, length, ok := rules.escape(r.doc[i+1:])
		if !ok {
			return nil, invalid(rules.reason, "%sinvalid escape at byte %d", rules.prefix, i)
		}
		if rules.bytes {
			b = append(b, byte(esc))
		} else {
			b = appendEscaped(b, esc)
		}
		i += 1 + length
		run = i
	}
}

// checkRun checks the bytes of a text between two escapes. They start at byte at of the document.
func (rules *textRules) checkRun(b []byte, offset int) error {
	if !utf8.Valid(b) {
		return notUTF8(offset)
	}
	if rules.bytes {
		for _, c := range b {
			if c >= utf8.RuneSelf {
				return invalid(rules.reason, "bytes at %d can only contain ASCII literal characters", offset)
			}
		}
	}
	return nil
}

func (rules *textRules) unclosed(offset int) error {
	return invalid(rules.reason, "text at byte %d has no end", offset)
}

func notUTF8(offset int) error {
	return invalid(object.ReasonValue, "text at byte %d is not valid UTF-8", offset)
}

// letterEscape returns the character of an escape of one letter that json and serpent share.
func letterEscape(c byte) (rune, bool) {
	switch c {
	case '"', '\\':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	}
	return 0, false
}

// appendEscaped appends a code point that was written as an escape. A surrogate becomes three bytes. The second
// surrogate of a pair replaces both by their character. In b, encoded surrogates must come from this function only.
func appendEscaped(b []byte, c rune) []byte {
	if c < 0xd800 || c > 0xdfff {
		return utf8.AppendRune(b, c)
	}
	if n := len(b); c >= 0xdc00 && n >= 3 && b[n-3] == 0xed && b[n-2] >= 0xa0 && b[n-2] <= 0xaf {
		high := rune(b[n-2]&0x0f)<<6 | rune(b[n-1]&0x3f)
		return utf8.AppendRune(b[:n-3], 0x10000+high<<10+(c-0xdc00))
	}
	return append(b, 0xed, 0x80|byte(c>>6)&0x3f, 0x80|byte(c)&0x3f)
}

// surrogate returns the surrogate that is encoded in the first three bytes of b.
func surrogate(b []byte) (c rune, ok bool) {
	if len(b) < 3 || b[0] != 0xed || b[1] < 0xa0 || b[1] > 0xbf || b[2]&0xc0 != 0x80 {
		return 0, false
	}
	return 0xd000 | rune(b[1]&0x3f)<<6 | rune(b[2]&0x3f), true
}

// hexRune reads n hexadecimal digits.
func hexRune(b []byte, n int) (c rune, ok bool) {
	if len(b) < n {
		return 0, false
	}
	for _, d := range b[:n] {
		switch {
		case d >= '0' && d <= '9':
			d -= '0'
		case d >= 'a' && d <= 'f':
			d -= 'a' - 10
		case d >= 'A' && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, false
		}
		c = c<<4 | rune(d)
		if c > utf8.MaxRune {
			return 0, false
		}
	}
	return c, true
}
