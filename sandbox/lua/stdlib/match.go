package stdlib

import (
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// matcher matches Lua patterns. Backtracking can take exponential time, so every step is charged to the running call.
//
// Source: Lua 5.1 reference manual, section 5.4.1 "Patterns".
type matcher struct {
	l       *lua.Thread
	src     string
	pat     string
	level   int // number of captures begun
	depth   int // recursion depth
	steps   int // not yet charged
	capture [maxCaptures]capture
}

type capture struct{ start, len int }

const (
	maxCaptures     = 32
	maxMatchDepth   = 5000 // PUC is bounded by C's stack only
	captureOpen     = -1
	capturePosition = -2
)

const (
	matcherSteps = 20 // making a matcher
	leaveSteps   = 6  // unwinding a call of match by an error
)

// newMatcher returns a matcher. As in PUC a pattern ends at a NUL byte.
func newMatcher(L *lua.Thread, src, pat string) *matcher {
	L.Charge(matcherSteps + len(pat)>>4)
	pat, _, _ = strings.Cut(pat, "\x00")
	return &matcher{l: L, src: src, pat: pat}
}

// anchor returns the position in the pattern after a leading "^".
func (m *matcher) anchor() int {
	if strings.HasPrefix(m.pat, "^") {
		return 1
	}
	return 0
}

// step counts one step of matching.
func (m *matcher) step() {
	m.steps++
	if m.steps >= 256 {
		m.settle()
	}
}

// settle charges for the steps so far. A step takes about as long as an instruction.
func (m *matcher) settle() {
	m.l.Charge(m.steps)
	m.steps = 0
}

func (m *matcher) fail(msg string) { m.raise("malformed pattern (%s)", msg) }

// raise raises an error, and charges for unwinding the calls of match.
func (m *matcher) raise(format string, args ...any) {
	m.l.Charge(leaveSteps * m.depth)
	m.l.RaiseError(format, args...)
}

// match returns the end of the match of pattern p at source position i, or -1.
func (m *matcher) match(i, p int) int {
	m.depth++
	if m.depth > maxMatchDepth {
		m.raise("pattern too complex")
	}
	end := m.follow(i, p)
	m.depth--
	return end
}

// follow is match without the count of its recursion depth.
func (m *matcher) follow(i, p int) int {
	for {
		m.step()
		if p == len(m.pat) {
			return i
		}
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.startCapture(i, p+2, capturePosition)
			}
			return m.startCapture(i, p+1, captureOpen)
		case ')':
			return m.endCapture(i, p+1)
		case '$':
			if p+1 == len(m.pat) { // anywhere else it is an ordinary character
				if i == len(m.src) {
					return i
				}
				return -1
			}
		case '%':
			if p+1 < len(m.pat) {
				switch c := m.pat[p+1]; {
				case c == 'b':
					i = m.balance(i, p+2)
					if i < 0 {
						return -1
					}
					p += 4
					continue
				case c == 'f':
					end, ok := m.frontier(i, p+2)
					if !ok {
						return -1
					}
					p = end
					continue
				case '0' <= c && c <= '9':
					i = m.backReference(i, c)
					if i < 0 {
						return -1
					}
					p += 2
					continue
				}
			}
		}
		end := m.classEnd(p)
		var suffix byte
		if end < len(m.pat) {
			suffix = m.pat[end]
		}
		// Only alternatives recurse. Everything else continues the loop, so that long patterns need no Go stack.
		switch suffix {
		case '?':
			if i < len(m.src) && m.single(m.src[i], p, end) {
				if r := m.match(i+1, end+1); r >= 0 {
					return r
				}
			}
			p = end + 1
		case '+':
			if i >= len(m.src) || !m.single(m.src[i], p, end) {
				return -1
			}
			return m.maxExpand(i+1, p, end)
		case '*':
			return m.maxExpand(i, p, end)
		case '-':
			return m.minExpand(i, p, end)
		default:
			if i >= len(m.src) || !m.single(m.src[i], p, end) {
				return -1
			}
			i++
			p = end
		}
	}
}

// classEnd returns the position after the single-character class at p.
func (m *matcher) classEnd(p int) int {
	c := m.pat[p]
	p++
	if c == '%' {
		if p == len(m.pat) {
			m.fail("ends with '%'")
		}
		return p + 1
	}
	if c != '[' {
		return p
	}
	from := p
	if p < len(m.pat) && m.pat[p] == '^' {
		p++
	}
	for first := true; first || p >= len(m.pat) || m.pat[p] != ']'; first = false {
		if p >= len(m.pat) {
			m.fail("missing ']'")
		}
		c := m.pat[p]
		p++
		if c == '%' && p < len(m.pat) {
			p++ // an escape, such as %]
		}
	}
	m.steps += (p - from) >> 2
	return p + 1
}

// single reports whether c belongs to the class in pat[p:end].
func (m *matcher) single(c byte, p, end int) bool {
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pat[p+1])
	case '[':
		return m.inSet(c, p, end-1)
	}
	return m.pat[p] == c
}

// inSet reports whether c belongs to the set with brackets at p and end.
func (m *matcher) inSet(c byte, p, end int) bool {
	m.steps += (end - p) >> 3
	found := true
	p++
	if m.pat[p] == '^' {
		found = false
		p++
	}
	for ; p < end; p++ {
		switch {
		case m.pat[p] == '%' && p+1 < end:
			p++
			if inClass(c, m.pat[p]) {
				return found
			}
		case p+2 < end && m.pat[p+1] == '-':
			if m.pat[p] <= c && c <= m.pat[p+2] {
				return found
			}
			p += 2
		case m.pat[p] == c:
			return found
		}
	}
	return !found
}

// inClass reports whether c belongs to the class of a letter. An upper-case letter is the complement, and any other
// character is itself.
func inClass(c, class byte) bool {
	var in bool
	switch class | 0x20 {
	case 'a':
		in = isLetter(c)
	case 'c':
		in = c < 0x20 || c == 0x7f
	case 'd':
		in = '0' <= c && c <= '9'
	case 'l':
		in = 'a' <= c && c <= 'z'
	case 'p':
		in = 0x20 < c && c < 0x7f && !isLetter(c) && !('0' <= c && c <= '9')
	case 's':
		in = c == ' ' || '\t' <= c && c <= '\r'
	case 'u':
		in = 'A' <= c && c <= 'Z'
	case 'w':
		in = isLetter(c) || '0' <= c && c <= '9'
	case 'x':
		in = '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
	case 'z':
		in = c == 0
	default:
		return class == c
	}
	if !isLetter(class) {
		return class == c
	}
	return in == (class&0x20 != 0)
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func (m *matcher) maxExpand(i, p, end int) int {
	n := 0
	for i+n < len(m.src) && m.single(m.src[i+n], p, end) {
		m.step()
		n++
	}
	for ; n >= 0; n-- {
		if r := m.match(i+n, end+1); r >= 0 {
			return r
		}
	}
	return -1
}

func (m *matcher) minExpand(i, p, end int) int {
	for {
		if r := m.match(i, end+1); r >= 0 {
			return r
		}
		if i >= len(m.src) || !m.single(m.src[i], p, end) {
			return -1
		}
		i++
	}
}

func (m *matcher) startCapture(i, p, kind int) int {
	if m.level >= maxCaptures {
		m.raise("too many captures")
	}
	m.capture[m.level] = capture{i, kind}
	m.level++
	r := m.match(i, p)
	if r < 0 {
		m.level--
	}
	return r
}

func (m *matcher) endCapture(i, p int) int {
	for n := m.level - 1; n >= 0; n-- {
		if m.capture[n].len == captureOpen {
			m.capture[n].len = i - m.capture[n].start
			r := m.match(i, p)
			if r < 0 {
				m.capture[n].len = captureOpen
			}
			return r
		}
	}
	m.raise("invalid pattern capture")
	return -1
}

// balance matches %bxy at source position i. x and y are at p.
func (m *matcher) balance(i, p int) int {
	if p+1 >= len(m.pat) {
		m.raise("unbalanced pattern")
	}
	if i >= len(m.src) || m.src[i] != m.pat[p] {
		return -1
	}
	open, shut := m.pat[p], m.pat[p+1]
	depth := 1
	for i++; i < len(m.src); i++ {
		m.step()
		switch m.src[i] {
		case shut:
			depth--
			if depth == 0 {
				return i + 1
			}
		case open:
			depth++
		}
	}
	return -1
}

// frontier matches %f[set] at source position i. The set is at p. It returns the position after the set.
func (m *matcher) frontier(i, p int) (int, bool) {
	if p >= len(m.pat) || m.pat[p] != '[' {
		m.raise("missing '[' after '%%f' in pattern")
	}
	end := m.classEnd(p)
	var before, after byte
	if i > 0 {
		before = m.src[i-1]
	}
	if i < len(m.src) {
		after = m.src[i]
	}
	return end, !m.inSet(before, p, end-1) && m.inSet(after, p, end-1)
}

// backReference matches the text of capture c.
func (m *matcher) backReference(i int, c byte) int {
	n := int(c) - '1'
	if n < 0 || n >= m.level || m.capture[n].len == captureOpen {
		m.raise("invalid capture index")
	}
	if m.capture[n].len == capturePosition {
		return -1 // a position capture has no text
	}
	text := m.src[m.capture[n].start : m.capture[n].start+m.capture[n].len]
	if len(text) > len(m.src)-i {
		return -1
	}
	m.steps += len(text) >> 6
	if strings.HasPrefix(m.src[i:], text) {
		return i + len(text)
	}
	return -1
}

// matchAt tries to match the pattern from p on matchAt source position i, with new captures.
func (m *matcher) matchAt(i, p int) int {
	m.level, m.depth = 0, 0
	return m.match(i, p)
}

// value returns capture n of a match from i to end. Without captures, the first is the whole match.
func (m *matcher) value(n, i, end int) lua.Value {
	if n >= m.level {
		if n != 0 {
			m.raise("invalid capture index")
		}
		return m.text(i, end)
	}
	switch c := m.capture[n]; c.len {
	case captureOpen:
		m.raise("unfinished capture")
	case capturePosition:
		return lua.Int(c.start + 1)
	default:
		return m.text(c.start, c.start+c.len)
	}
	return lua.Nil
}

// text returns a part of the source as a string.
func (m *matcher) text(i, end int) lua.Value {
	return Part(m.l, m.src, i, end)
}

// push pushes the captures of a match. Without captures, it pushes the whole match if whole is true.
func (m *matcher) push(i, end int, whole bool) int {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	m.l.Reserve(n)
	for k := range n {
		m.l.Push(m.value(k, i, end))
	}
	return n
}
