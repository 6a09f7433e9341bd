package codec

import "unicode/utf8"

// The texts of json.

// own reads a text that stays valid; what names it in the error if it is none.
func (r *jsonReader) own(what string) ([]byte, error) {
	if r.peek() != '"' {
		return nil, r.wrong(what + " is not a text")
	}
	b, err := r.text()
	r.scratch = nil // it may hold the text
	return b, err
}

// text reads the text that begins at the quote under r.pos. It aliases the document or,
// if it holds escapes, r.scratch.
func (r *jsonReader) text() ([]byte, error) {
	start := r.pos + 1
	var high byte
	for i := start; i < len(r.doc); i++ {
		c := r.doc[i]
		if c == '"' {
			r.pos = i + 1
			b := r.doc[start:i:i]
			if high >= utf8.RuneSelf && !utf8.Valid(b) {
				return nil, notUTF8(start)
			}
			return b, nil
		}
		if c == '\\' {
			return r.escapedText(start, i)
		}
		if c < ' ' {
			return nil, invalid("ValueError", "json: control character at byte %d", i)
		}
		high |= c
	}
	return nil, unclosedText(start - 1)
}

func notUTF8(at int) error {
	return invalid("ValueError", "text at byte %d is not valid UTF-8", at)
}

func unclosedText(at int) error {
	return invalid("ValueError", "text at byte %d has no end", at)
}

// escapedText reads the text from start on, whose first escape is at i.
func (r *jsonReader) escapedText(start, i int) ([]byte, error) {
	b := r.scratch[:0]
	run := start // where what is not yet in b begins
	for i < len(r.doc) {
		c := r.doc[i]
		if c != '"' && c != '\\' {
			if c < ' ' {
				return nil, invalid("ValueError", "json: control character at byte %d", i)
			}
			i++
			continue
		}
		if !utf8.Valid(r.doc[run:i]) {
			return nil, notUTF8(run)
		}
		b = append(b, r.doc[run:i]...)
		if c == '"' {
			r.pos, r.scratch = i+1, b
			return b, nil
		}
		esc, n, ok := jsonEscape(r.doc[i+1:])
		if !ok {
			return nil, invalid("ValueError", "json: invalid escape at byte %d", i)
		}
		b = appendEscaped(b, esc)
		i += 1 + n
		run = i
	}
	return nil, unclosedText(start - 1)
}

// jsonEscape reads what follows a backslash: n bytes that mean c.
func jsonEscape(b []byte) (c rune, n int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	switch b[0] {
	case '"', '\\', '/':
		return rune(b[0]), 1, true
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
	case 'u':
		c, ok = hexRune(b[1:], 4)
		return c, 5, ok
	}
	return 0, 0, false
}
