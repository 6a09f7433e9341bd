package stdlib

import (
	"slices"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
)

func (t *Template) openString() {
	fns := map[string]lua.Native{
		"byte": strByte, "char": strChar, "find": strFind, "match": strMatch, "gmatch": strGmatch,
		"gsub": strGsub, "format": strFormat, "rep": strRep, "sub": strSub,
		"len": func(L *lua.Thread) int {
			L.Push(lua.Int(len(L.CheckString(1))))
			return 1
		},
		"lower": mapped(lower), "upper": mapped(upper), "reverse": mapped(slices.Reverse[[]byte]),
	}
	t.Add("string", fns)
	t.tables["string"].SetString("gfind", t.tables["string"].GetString("gmatch"))
}

// position converts a relative position: negative ones count from the end.
func position(pos, n int) int {
	if pos < 0 {
		pos += n + 1
	}
	return max(pos, 0)
}

func strByte(L *lua.Thread) int { return PushBytes(L, L.CheckString(1)) }

// PushBytes implements string.byte on the bytes of s. Its other arguments are those of string.byte.
func PushBytes(L *lua.Thread, s string) int {
	i := position(L.OptInt(2, 1), len(s))
	j := i
	if !L.Get(3).IsNil() {
		j = position(L.CheckInt(3), len(s))
	}
	i, j = max(i, 1), min(j, len(s))
	if i > j {
		return 0
	}
	n := j - i + 1
	if n+L.Top() > maxResults {
		L.RaiseError("stack overflow (string slice too long)")
	}
	L.Charge(n >> 1)
	L.Reserve(n)
	for k := i - 1; k < j; k++ {
		L.Push(lua.Int(int(s[k])))
	}
	return n
}

func strChar(L *lua.Thread) int {
	n := L.Top()
	b := L.NewBuilder(n)
	for i := range n {
		c := L.CheckInt32(i + 1)
		if c < 0 || c > 255 {
			L.ArgError(i+1, "invalid value")
		}
		b.B = append(b.B, byte(c))
	}
	return b.Push()
}

func strSub(L *lua.Thread) int {
	s := L.CheckString(1)
	i, j := Range(len(s), L.CheckInt(2), L.OptInt(3, -1))
	if i == 0 && j == len(s) && L.Get(1).Kind() == lua.StringKind {
		L.Push(L.Get(1))
		return 1
	}
	L.Push(Part(L, s, i, j))
	return 1
}

// Range converts a Lua range to a Go range. Lua ranges include the last position, and count from 1 or, if negative,
// from the end. n is the length.
func Range(n, i, j int) (from, to int) {
	i, j = max(position(i, n), 1), min(position(j, n), n)
	if i > j {
		return 0, 0
	}
	return i - 1, j
}

// Part returns a copy of s[i:j], so that a script with a part does not retain the rest, which is not counted. Even
// small rests must not be retained, because parts of parts would retain them, too.
func Part(L *lua.Thread, s string, i, j int) lua.Value {
	L.AllocateString(j - i)
	return lua.String(cloned(s, i, j))
}

func cloned(s string, i, j int) string {
	switch {
	case j-i == len(s):
		return s
	case j-i == 1:
		return bytesText[int(s[i]) : int(s[i])+1]
	}
	return strings.Clone(s[i:j])
}

// bytesText contains every byte once.
var bytesText = func() string {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	return string(all[:])
}()

func strRep(L *lua.Thread) int {
	s, n := L.CheckString(1), L.CheckInt32(2)
	if n <= 0 || s == "" {
		return L.PushString("")
	}
	if n > lua.MaxString/len(s) {
		L.RaiseError("resulting string too large")
	}
	L.ChargeBytes(n * len(s))
	L.AllocateString(n * len(s))
	L.Push(lua.String(strings.Repeat(s, n)))
	return 1
}

// mapped makes a function that replaces the bytes of a string.
func mapped(f func([]byte)) lua.Native {
	return func(L *lua.Thread) int {
		s := L.CheckString(1)
		b := L.NewBuilder(len(s))
		L.ChargeBytes(8 * len(s)) // byte by byte
		b.B = append(b.B, s...)
		f(b.B)
		return b.Push()
	}
}

// lower converts ASCII letters only, as in the C locale.
func lower(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
}

func upper(b []byte) {
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c &^ 0x20
		}
	}
}

func strFind(L *lua.Thread) int  { return find(L, true) }
func strMatch(L *lua.Thread) int { return find(L, false) }

const specials = "^$*+?.([%-"

// find implements string.find and string.match.
func find(L *lua.Thread, plain bool) int {
	src, pat := L.CheckString(1), L.CheckString(2)
	i := min(max(position(L.OptInt(3, 1), len(src))-1, 0), len(src))
	if plain {
		special, _, _ := strings.Cut(pat, "\x00")
		L.ChargeBytes(len(special))
		if L.Get(4).Truth() || !strings.ContainsAny(special, specials) {
			n := indexOf(L, src[i:], pat)
			if n < 0 {
				L.Push(lua.Nil)
				return 1
			}
			L.Push(lua.Int(i + n + 1))
			L.Push(lua.Int(i + n + len(pat)))
			return 2
		}
	}
	m := newMatcher(L, src, pat)
	p := m.anchor()
	for ; i <= len(src); i++ {
		if end := m.matchAt(i, p); end >= 0 {
			m.settle()
			if !plain {
				return m.push(i, end, true)
			}
			L.Push(lua.Int(i + 1))
			L.Push(lua.Int(end))
			return 2 + m.push(i, end, false)
		}
		if p == 1 {
			break
		}
	}
	m.settle()
	L.Push(lua.Nil)
	return 1
}

// indexOf finds a text in linear time, and charges for it.
func indexOf(L *lua.Thread, s, sub string) int {
	const short = 32 // up to this length, Go's search compares each position at once
	if len(sub) <= short || len(sub) >= len(s) {
		return indexShort(L, s, sub)
	}
	L.ChargeBytes(len(s))
	// Knuth-Morris-Pratt: Go's search is quadratic on adversarial texts.
	L.Charge((len(s) + len(sub)) >> 2)
	L.Buffer(4 * len(sub))
	fail := make([]int32, len(sub))
	for i, k := 1, int32(0); i < len(sub); i++ {
		for k > 0 && sub[i] != sub[k] {
			k = fail[k-1]
		}
		if sub[i] == sub[k] {
			k++
		}
		fail[i] = k
	}
	k := 0
	for i := range len(s) {
		for k > 0 && s[i] != sub[k] {
			k = int(fail[k-1])
		}
		if s[i] == sub[k] {
			k++
			if k == len(sub) {
				return i + 1 - k
			}
		}
	}
	return -1
}

// indexShort is indexOf for a short text. It searches for the first byte, and after too many false matches for the
// whole text.
func indexShort(L *lua.Thread, s, sub string) int {
	if len(sub) == 0 || len(sub) >= len(s) {
		L.ChargeBytes(len(sub))
		return strings.Index(s, sub)
	}
	L.Charge(len(s) >> 6)
	for i, failed := 0, 0; i+len(sub) <= len(s); failed++ {
		if failed > (i+32)>>4 { // the first byte is too frequent
			L.Charge((len(s) - i) >> 2)
			n := strings.Index(s[i:], sub)
			if n >= 0 {
				n += i
			}
			return n
		}
		n := strings.IndexByte(s[i:], sub[0])
		if n < 0 {
			break
		}
		i += n
		if strings.HasPrefix(s[i:], sub) {
			return i
		}
		i++
	}
	return -1
}

func strGmatch(L *lua.Thread) int {
	src, pat := L.CheckString(1), L.CheckString(2)
	i := 0
	const size = 800
	L.Allocate(size)
	m := newMatcher(L, src, pat)
	L.Push(lua.NewIterator(func(L *lua.Thread) int {
		m.l = L
		for ; i <= len(src); i++ {
			if end := m.matchAt(i, 0); end >= 0 {
				m.settle()
				begin := i
				i = end
				if end == begin {
					i++
				}
				return m.push(begin, end, true)
			}
		}
		m.settle()
		return 0
	}, size, L.Get(1), L.Get(2)).Value())
	return 1
}

func strGsub(L *lua.Thread) int {
	src, pat := L.CheckString(1), L.CheckString(2)
	limit := len(src) + 1 // an empty pattern matches before each byte, and at the end
	if !L.Get(4).IsNil() {
		limit = L.CheckInt32(4)
	}
	repl := L.Get(3)
	switch repl.Kind() {
	case lua.StringKind, lua.NumberKind, lua.FunctionKind, lua.TableKind:
	default:
		L.ArgError(3, "string/function/table expected")
	}
	m := newMatcher(L, src, pat)
	p := m.anchor()
	g := substitution{
		L:    L,
		m:    m,
		repl: repl,
		out:  L.NewBuilder(len(src)),
	}
	i, n := 0, 0
	for n < limit {
		end := m.matchAt(i, p)
		if end >= 0 {
			n++
			m.settle() // add may call the script
			g.add(i, end)
		}
		switch {
		case end > i:
			i = end
		case i < len(src):
			g.out.AddByte(src[i])
			i++
		default:
			i = len(src) + 1
		}
		if i > len(src) || p == 1 { // an anchored pattern is tried once
			break
		}
	}
	m.settle()
	if i < len(src) {
		g.out.Add(src[i:])
	}
	g.out.Push()
	L.Push(lua.Int(n))
	return 2
}

// substitution is the state of one gsub.
type substitution struct {
	L    *lua.Thread
	m    *matcher
	repl lua.Value
	out  lua.Builder
}

// add appends the replacement for the match from i to end.
func (g *substitution) add(i, end int) {
	L, m := g.L, g.m
	var v lua.Value
	switch g.repl.Kind() {
	case lua.FunctionKind:
		L.Push(g.repl)
		L.CallTop(m.push(i, end, true), 1)
		v = L.Get(-1)
		L.Pop(1)
	case lua.TableKind:
		v = L.Index(g.repl, m.value(0, i, end))
	default:
		g.expand(i, end)
		return
	}
	if !v.Truth() {
		g.out.Add(m.src[i:end])
		return
	}
	s, ok := v.ToString()
	if !ok {
		L.RaiseError("invalid replacement value (a %s)", v.Kind())
	}
	g.out.Add(s)
}

// expand appends a replacement string, in which %1 to %9 are captures and %0 is the match.
func (g *substitution) expand(i, end int) {
	t, _ := g.repl.ToString()
	g.L.Charge(len(t) >> 3)
	for k := 0; k < len(t); k++ {
		if t[k] != '%' {
			g.out.AddByte(t[k])
			continue
		}
		k++
		switch {
		case k == len(t):
			g.out.AddByte(0) // C's end of the string
		case t[k] < '0' || t[k] > '9':
			g.out.AddByte(t[k])
		case t[k] == '0':
			g.out.Add(g.m.src[i:end])
		default:
			s, _ := g.m.value(int(t[k]-'1'), i, end).ToString()
			g.out.Add(s)
		}
	}
}
