package codec

import "unicode/utf8"

// The texts and bytes literals of serpent.

// own reads a text that stays valid; what names it in the error if it is none.
func (r *serpentReader) own(what string) ([]byte, error) {
	c, err := r.peek()
	if err != nil {
		return nil, err
	}
	if c != '\'' && c != '"' {
		return nil, r.wrong(what + " is not a text")
	}
	b, err := r.text(false)
	r.scratch = nil // it may hold the text
	return b, err
}

// text reads the text, or bytes, that begin at the quote under r.pos. The result aliases
// the document or, if it holds escapes, r.scratch.
func (r *serpentReader) text(raw bool) ([]byte, error) {
	quote, start := r.doc[r.pos], r.pos+1
	var high byte
	for i := start; i < len(r.doc); i++ {
		c := r.doc[i]
		if c == quote {
			b := r.doc[start:i:i]
			if high >= utf8.RuneSelf {
				if err := checkSerpentRun(b, start, raw); err != nil {
					return nil, err
				}
			}
			r.pos = i + 1
			return b, nil
		}
		if c == '\\' {
			return r.escapedText(start, i, raw)
		}
		if c < ' ' && (c == 0 || c == '\n' || c == '\r') {
			return nil, badSerpentControl(c, i)
		}
		high |= c
	}
	return nil, unclosedSerpentText(start - 1)
}

func unclosedSerpentText(at int) error {
	return invalid("SyntaxError", "text at byte %d has no end", at)
}

func badSerpentControl(c byte, at int) error {
	if c == 0 {
		return zeroByte(at)
	}
	return invalid("SyntaxError", "line ends inside a text at byte %d", at)
}

// checkSerpentRun checks what stands unescaped in a text or in bytes.
func checkSerpentRun(b []byte, at int, raw bool) error {
	if !utf8.Valid(b) {
		return notUTF8(at)
	}
	if raw {
		for _, c := range b {
			if c >= utf8.RuneSelf {
				return invalid("SyntaxError", "bytes at %d can only contain ASCII literal characters", at)
			}
		}
	}
	return nil
}

// escapedText reads the text, or bytes, from start on, whose first escape is at i.
func (r *serpentReader) escapedText(start, i int, raw bool) ([]byte, error) {
	quote := r.doc[start-1]
	b := r.scratch[:0]
	run := start // where what is not yet in b begins
	for i < len(r.doc) {
		c := r.doc[i]
		if c != quote && c != '\\' {
			if c < ' ' && (c == 0 || c == '\n' || c == '\r') {
				return nil, badSerpentControl(c, i)
			}
			i++
			continue
		}
		if err := checkSerpentRun(r.doc[run:i], run, raw); err != nil {
			return nil, err
		}
		b = append(b, r.doc[run:i]...)
		if c == quote {
			r.pos, r.scratch = i+1, b
			return b, nil
		}
		esc, n, ok := serpentEscape(r.doc[i+1:], raw)
		if !ok {
			return nil, invalid("SyntaxError", "invalid escape at byte %d", i)
		}
		if raw {
			b = append(b, byte(esc))
		} else {
			b = appendEscaped(b, esc)
		}
		i += 1 + n
		run = i
	}
	return nil, unclosedSerpentText(start - 1)
}

// serpentEscape reads what follows a backslash: n bytes that mean c. In bytes there are
// no \u and \U, and c is a byte.
func serpentEscape(b []byte, raw bool) (c rune, n int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	switch b[0] {
	case '\\', '\'', '"':
		return rune(b[0]), 1, true
	case 'a':
		return '\a', 1, true
	case 'b':
		return '\b', 1, true
	case 'f':
		return '\f', 1, true
	case 'n':
		return '\n', 1, true
	case 'r':
		return '\r', 1, true
	case 't':
		return '\t', 1, true
	case 'v':
		return '\v', 1, true
	case 'x':
		c, ok = hexRune(b[1:], 2)
		return c, 3, ok
	case 'u':
		c, ok = hexRune(b[1:], 4)
		return c, 5, ok && !raw
	case 'U':
		c, ok = hexRune(b[1:], 8)
		return c, 9, ok && !raw
	}
	for n < len(b) && n < 3 && b[n] >= '0' && b[n] <= '7' {
		c = c<<3 | rune(b[n]-'0')
		n++
	}
	return c, n, n > 0 && (!raw || c <= 0xff)
}
