package syntax

import (
	"fmt"
	"strings"
)

// token is the kind of a token. A single character is its own kind.
type token int

const (
	tkEOF token = iota + 256
	tkAnd
	tkBreak
	tkDo
	tkElse
	tkElseif
	tkEnd
	tkFalse
	tkFor
	tkFunction
	tkIf
	tkIn
	tkLocal
	tkNil
	tkNot
	tkOr
	tkRepeat
	tkReturn
	tkThen
	tkTrue
	tkUntil
	tkWhile
	tkConcat // ..
	tkDots   // ...
	tkEq
	tkGe
	tkLe
	tkNe
	tkNumber
	tkName
	tkString
)

var keywords = map[string]token{
	"and": tkAnd, "break": tkBreak, "do": tkDo, "else": tkElse, "elseif": tkElseif, "end": tkEnd, "false": tkFalse,
	"for": tkFor, "function": tkFunction, "if": tkIf, "in": tkIn, "local": tkLocal, "nil": tkNil, "not": tkNot,
	"or": tkOr, "repeat": tkRepeat, "return": tkReturn, "then": tkThen, "true": tkTrue,
	"until": tkUntil, "while": tkWhile,
}

var tokenNames = func() map[token]string {
	m := map[token]string{
		tkEOF: "<eof>", tkConcat: "..", tkDots: "...", tkEq: "==", tkGe: ">=", tkLe: "<=", tkNe: "~=",
		tkNumber: "<number>", tkName: "<name>", tkString: "<string>",
	}
	for word, t := range keywords {
		m[t] = word
	}
	return m
}()

// text formats a token as PUC does in messages.
func (t token) text() string {
	if name, ok := tokenNames[t]; ok {
		return name
	}
	if t < 32 || t == 127 {
		return fmt.Sprintf("char(%d)", int(t))
	}
	return string([]byte{byte(t)})
}

// Error is a syntax error. Its text is complete: "chunk:line: message near 'token'".
type Error struct {
	Line int
	Text string
	Read int // number of bytes of the source that were read; 0 for all
	// Unfinished is true if the source ended too early.
	Unfinished bool
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// scanner splits source into tokens. It panics with *Error.
type scanner struct {
	src   string
	chunk string // for messages
	pos   int
	line  int
	names map[string]string // interned names and strings

	kind  token
	text  string  // of a name or string
	value float64 // of a number
	start int     // position of the token, for messages
	last  int     // line of the previous token
	ahead struct {
		kind  token // 0 if there is no token
		text  string
		value float64
		start int
	}
}

func (s *scanner) fail(msg string, near token, shown bool) {
	text := fmt.Sprintf("%s:%d: %s", s.chunk, s.line, msg)
	if shown && near != 0 { // PUC does not show a zero byte
		text += fmt.Sprintf(" near '%s'", s.tokenText(near))
	}
	panic(&Error{Line: s.line, Text: text, Read: s.pos, Unfinished: near == tkEOF})
}

// tokenText formats the token that was read last. Names, strings and numbers appear as in the source.
func (s *scanner) tokenText(near token) string {
	switch near {
	case tkName, tkString, tkNumber:
		t := s.src[s.start:min(s.pos, len(s.src))]
		if near == tkString { // as PUC: after escape sequences, without a line break at the start
			if quote := t[:1]; quote != "[" {
				t = quote + s.text + quote
			} else if i := strings.IndexAny(t, "\r\n"); i > 0 && strings.Trim(t[:i], "[=") == "" {
				t = t[:i] + strings.TrimLeft(t[i:min(i+2, len(t))], "\r\n") + t[min(i+2, len(t)):]
			}
		}
		if i := strings.IndexByte(t, 0); i >= 0 {
			t = t[:i]
		}
		return t
	}
	return near.text()
}

// next reads the next token.
func (s *scanner) next() {
	s.last = s.line
	if a := &s.ahead; a.kind != 0 {
		s.kind = a.kind
		s.text = a.text
		s.value = a.value
		s.start = a.start
		a.kind = 0
		return
	}
	s.kind = s.scan()
}

// peek returns the kind of the token after the current one. As in PUC, the current line is that token's from then on.
func (s *scanner) peek() token {
	kind := s.kind
	text := s.text
	value := s.value
	start := s.start
	a := &s.ahead
	a.kind = s.scan()
	a.text = s.text
	a.value = s.value
	a.start = s.start
	s.kind = kind
	s.text = text
	s.value = value
	s.start = start
	return a.kind
}

func (s *scanner) char(at int) byte {
	if at < len(s.src) {
		return s.src[at]
	}
	return 0
}

// intern returns one string for equal names, so that the parts of a program share it.
func (s *scanner) intern(t string) string {
	if known, ok := s.names[t]; ok {
		return known
	}
	t = strings.Clone(t) // so that it does not retain the whole source
	s.names[t] = t
	return t
}

// newline skips a line end; "\r\n" and "\n\r" count once.
func (s *scanner) newline() {
	c := s.src[s.pos]
	s.pos++
	if n := s.char(s.pos); s.pos < len(s.src) && (n == '\n' || n == '\r') && n != c {
		s.pos++
	}
	s.line++
}

func (s *scanner) scan() token {
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		s.start = s.pos
		switch {
		case c == '\n' || c == '\r':
			s.newline()
		case c == ' ' || c == '\t' || c == '\v' || c == '\f':
			s.pos++
		case c == '-' && s.char(s.pos+1) == '-':
			s.comment()
		case c == '[':
			level, ok := s.bracket()
			switch {
			case ok:
				s.pos += level + 2
				s.text = s.long(level, "string")
				return tkString
			case level > 0:
				s.pos += level + 1
				s.fail("invalid long string delimiter", tkString, true)
			}
			s.pos++
			return '['
		case c == '"' || c == '\'':
			s.quoted(c)
			return tkString
		case isDigit(c) || c == '.' && isDigit(s.char(s.pos+1)):
			s.number()
			return tkNumber
		case isAlpha(c):
			for s.pos < len(s.src) && isAlnum(s.src[s.pos]) {
				s.pos++
			}
			word := s.src[s.start:s.pos]
			if k, ok := keywords[word]; ok {
				return k
			}
			s.text = s.intern(word)
			return tkName
		default:
			return s.symbol(c)
		}
	}
	s.start = s.pos
	return tkEOF
}

func (s *scanner) symbol(c byte) token {
	s.pos++
	follow := func(n byte, long, short token) token {
		if s.pos < len(s.src) && s.src[s.pos] == n {
			s.pos++
			return long
		}
		return short
	}
	switch c {
	case '=':
		return follow('=', tkEq, '=')
	case '<':
		return follow('=', tkLe, '<')
	case '>':
		return follow('=', tkGe, '>')
	case '~':
		return follow('=', tkNe, '~')
	case '.':
		if s.char(s.pos) != '.' {
			return '.'
		}
		s.pos++
		return follow('.', tkDots, tkConcat)
	}
	return token(c)
}

// comment skips a comment that begins at the current position.
func (s *scanner) comment() {
	s.pos += 2
	if s.char(s.pos) == '[' {
		if level, ok := s.bracket(); ok {
			s.pos += level + 2
			s.long(level, "comment")
			return
		}
	}
	for s.pos < len(s.src) && s.src[s.pos] != '\n' && s.src[s.pos] != '\r' {
		s.pos++
	}
}

// bracket reports whether a long bracket begins at the current position, and its level.
func (s *scanner) bracket() (level int, ok bool) {
	i := s.pos + 1
	for s.char(i) == '=' {
		i++
	}
	return i - s.pos - 1, s.char(i) == '['
}

// long reads a long string or comment after its opening bracket.
func (s *scanner) long(level int, what string) string {
	if c := s.char(s.pos); s.pos < len(s.src) && (c == '\n' || c == '\r') {
		s.newline()
	}
	var b strings.Builder
	from := s.pos // beginning of the part that is not in b yet
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; c {
		case ']':
			i := s.pos + 1
			for s.char(i) == '=' {
				i++
			}
			if i-s.pos-1 == level && i < len(s.src) && s.src[i] == ']' {
				b.WriteString(s.src[from:s.pos])
				s.pos = i + 1
				return b.String()
			}
			s.pos = i
		case '[':
			i := s.pos + 1
			if level == 0 && s.char(i) == '[' {
				s.pos = i + 1
				s.fail("nesting of [[...]] is deprecated", '[', true)
			}
			s.pos = i
		case '\n', '\r': // all line ends become "\n"
			b.WriteString(s.src[from:s.pos])
			b.WriteByte('\n')
			s.newline()
			from = s.pos
		default:
			s.pos++
		}
	}
	s.fail("unfinished long "+what, tkEOF, true)
	return ""
}

// quoted reads a string in quotes.
func (s *scanner) quoted(quote byte) {
	s.pos++
	var b []byte
	for {
		if s.pos >= len(s.src) {
			s.fail("unfinished string", tkEOF, true)
		}
		c := s.src[s.pos]
		switch c {
		case quote:
			s.pos++
			s.text = s.intern(string(b))
			return
		case '\n', '\r':
			s.failInString("unfinished string", quote, b)
		case '\\':
			b = s.escape(quote, b)
		default:
			b = append(b, c)
			s.pos++
		}
	}
}

// failInString reports an error in a string. b is the part that was read, after escape sequences.
func (s *scanner) failInString(msg string, quote byte, b []byte) {
	text, _, _ := strings.Cut(string(quote)+string(b), "\x00")
	panic(&Error{Line: s.line, Text: fmt.Sprintf("%s:%d: %s near '%s'", s.chunk, s.line, msg, text), Read: s.pos})
}

func (s *scanner) escape(quote byte, b []byte) []byte {
	s.pos++
	if s.pos >= len(s.src) {
		return b // the caller reports the end
	}
	c := s.src[s.pos]
	if i := strings.IndexByte("abfnrtv", c); i >= 0 {
		s.pos++
		return append(b, "\a\b\f\n\r\t\v"[i])
	}
	switch {
	case c == '\n' || c == '\r':
		s.newline()
		return append(b, '\n')
	case isDigit(c):
		n := 0
		for i := 0; i < 3 && isDigit(s.char(s.pos)); i++ {
			n = n*10 + int(s.src[s.pos]-'0')
			s.pos++
		}
		if n > 255 {
			s.failInString("escape sequence too large", quote, b)
		}
		return append(b, byte(n))
	}
	s.pos++
	return append(b, c)
}

// number reads a numeral: all characters that could belong to one. They must form one.
func (s *scanner) number() {
	for s.pos < len(s.src) && (isDigit(s.src[s.pos]) || s.src[s.pos] == '.') {
		s.pos++
	}
	if s.char(s.pos)|0x20 == 'e' {
		s.pos++
		if c := s.char(s.pos); c == '+' || c == '-' {
			s.pos++
		}
	}
	for s.pos < len(s.src) && isAlnum(s.src[s.pos]) {
		s.pos++
	}
	v, ok := ParseNumber(s.src[s.start:s.pos])
	if !ok {
		s.fail("malformed number", tkNumber, true)
	}
	s.value = v
}
