package sandbox

import (
	"slices"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// openString makes the string library and the methods of strings, which are the same
// functions in a table that no script reaches.
func (s *State) openString() {
	t := s.library(map[string]lua.LGFunction{
		"byte":    func(L *lua.LState) int { return pushBytes(L, s, L.CheckString(1)) },
		"char":    s.strChar,
		"find":    func(L *lua.LState) int { return s.strFind(L, true) },
		"format":  s.strFormat,
		"gmatch":  s.strGmatch,
		"gsub":    s.strGsub,
		"len":     func(L *lua.LState) int { L.Push(number(int64(len(L.CheckString(1))))); return 1 },
		"lower":   s.strMap(lower),
		"match":   func(L *lua.LState) int { return s.strFind(L, false) },
		"rep":     s.strRep,
		"reverse": s.strMap(slices.Reverse[[]byte]),
		"sub":     s.strSub,
		"upper":   s.strMap(upper),
	})
	mt := protectedTable(s.l, "string")
	mt.RawSetString("__index", t)
	s.l.SetMetatable(lua.LString(""), mt)
	s.base.RawSetString("string", s.frozenTable(t))
}

// pushBytes is the byte method of strings and bytes.
func pushBytes(L *lua.LState, s *State, t string) int {
	first := L.OptInt(2, 1)
	i, j := textRange(len(t), first, L.OptInt(3, first))
	if j-i > maxArguments {
		L.RaiseError("string slice too long (at most %d)", maxArguments)
	}
	s.meter.charge(L, j-i)
	for _, c := range []byte(t[i:j]) {
		L.Push(number(int64(c)))
	}
	return j - i
}

func (s *State) strChar(L *lua.LState) int {
	b := make([]byte, L.GetTop())
	for i := range b {
		c := L.CheckInt(i + 1)
		if c < 0 || c > 255 {
			L.ArgError(i+1, "value out of range")
		}
		b[i] = byte(c)
	}
	L.Push(lua.LString(b))
	return 1
}

func (s *State) strSub(L *lua.LState) int {
	t := L.CheckString(1)
	i, j := textRange(len(t), L.CheckInt(2), L.OptInt(3, -1))
	L.Push(lua.LString(s.part(L, t, i, j)))
	return 1
}

// sharedText is the longest text all of which a part of it may keep in memory.
const sharedText = 4 << 10

// part returns t[i:j]. What is less than half of a long text is copied: a script that keeps it
// does not hold the rest, of which the fence of memory knows nothing.
func (s *State) part(L *lua.LState, t string, i, j int) string {
	if len(t) <= sharedText || 2*(j-i) >= len(t) {
		return t[i:j]
	}
	s.meter.chargeBytes(L, j-i)
	return strings.Clone(t[i:j])
}

func (s *State) strRep(L *lua.LState) int {
	t, n := L.CheckString(1), L.CheckInt(2)
	if n <= 0 || t == "" {
		L.Push(lua.LString(""))
		return 1
	}
	if n > maxText/len(t) {
		L.RaiseError("resulting string too long (at most %d bytes)", maxText)
	}
	s.meter.chargeBytes(L, n*len(t))
	L.Push(lua.LString(strings.Repeat(t, n)))
	return 1
}

// strMap makes a function from one text to another of the same length.
func (s *State) strMap(f func([]byte)) lua.LGFunction {
	return func(L *lua.LState) int {
		t := L.CheckString(1)
		s.meter.chargeBytes(L, len(t))
		b := []byte(t)
		f(b)
		L.Push(lua.LString(b))
		return 1
	}
}

// lower and upper know ASCII only, as Lua does in its C locale.
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

// strFind is string.find and string.match.
func (s *State) strFind(L *lua.LState, find bool) int {
	src, pat := L.CheckString(1), L.CheckString(2)
	init := L.OptInt(3, 1)
	if init < 0 {
		init = max(len(src)+init+1, 1)
	}
	i := max(init, 1) - 1
	if i > len(src) {
		L.Push(lua.LNil)
		return 1
	}
	if find && (L.ToBool(4) || !strings.ContainsAny(pat, "^$*+?.([%-")) {
		s.meter.chargeBytes(L, len(src)-i)
		n := strings.Index(src[i:], pat)
		if n < 0 {
			L.Push(lua.LNil)
			return 1
		}
		L.Push(number(int64(i + n + 1)))
		L.Push(number(int64(i + n + len(pat))))
		return 2
	}
	m := matcher{s: s, l: L, src: src, pat: pat}
	p := 0
	if strings.HasPrefix(pat, "^") {
		p = 1
	}
	for ; i <= len(src); i++ {
		if end := m.at(i, p); end >= 0 {
			m.settle()
			if !find {
				return m.push(L, i, end)
			}
			L.Push(number(int64(i + 1)))
			L.Push(number(int64(end)))
			if m.level == 0 {
				return 2
			}
			return 2 + m.push(L, i, end)
		}
		if p == 1 {
			break
		}
	}
	m.settle()
	L.Push(lua.LNil)
	return 1
}

func (s *State) strGmatch(L *lua.LState) int {
	src, pat := L.CheckString(1), L.CheckString(2)
	i := 0
	L.Push(L.NewFunction(func(L *lua.LState) int {
		m := matcher{s: s, l: L, src: src, pat: pat}
		for ; i <= len(src); i++ {
			if end := m.at(i, 0); end >= 0 {
				m.settle()
				begin := i
				if i = end; end == begin {
					i++
				}
				return m.push(L, begin, end)
			}
		}
		m.settle()
		return 0
	}))
	return 1
}

func (s *State) strGsub(L *lua.LState) int {
	src, pat := L.CheckString(1), L.CheckString(2)
	L.CheckTypes(3, lua.LTString, lua.LTNumber, lua.LTFunction, lua.LTTable)
	repl := L.Get(3)
	limit := L.OptInt(4, len(src)+1)
	m := matcher{s: s, l: L, src: src, pat: pat}
	p := 0
	if strings.HasPrefix(pat, "^") {
		p = 1
	}
	var out strings.Builder
	i, n := 0, 0
	for n < limit {
		end := m.at(i, p)
		if end >= 0 {
			n++
			m.settle()
			s.substitute(L, &m, &out, repl, i, end)
		}
		switch {
		case end > i:
			i = end
		case i < len(src):
			out.WriteByte(src[i])
			i++
		default:
			i = len(src) + 1
		}
		if i > len(src) || p == 1 {
			break
		}
		if out.Len() > maxText {
			L.RaiseError("resulting string too long (at most %d bytes)", maxText)
		}
	}
	m.settle()
	if i < len(src) {
		out.WriteString(src[i:])
	}
	s.meter.chargeBytes(L, out.Len())
	L.Push(lua.LString(out.String()))
	L.Push(number(int64(n)))
	return 2
}

// substitute writes what replaces the match from i to end.
func (s *State) substitute(L *lua.LState, m *matcher, out *strings.Builder, repl lua.LValue, i, end int) {
	var v lua.LValue
	switch r := repl.(type) {
	case *lua.LFunction:
		L.Push(r)
		L.Call(m.push(L, i, end), 1)
		v = L.Get(-1)
		L.Pop(1)
	case *lua.LTable:
		v = L.GetTable(r, m.value(0, i, end))
	default:
		t := r.String()
		s.meter.chargeBytes(L, len(t))
		for k := 0; k < len(t); k++ {
			if t[k] != '%' {
				out.WriteByte(t[k])
				continue
			}
			k++
			switch {
			case k == len(t) || t[k] < '0' || t[k] > '9':
				if k < len(t) {
					out.WriteByte(t[k])
				}
			case t[k] == '0':
				s.meter.chargeBytes(L, end-i)
				out.WriteString(m.src[i:end])
			default:
				piece := m.value(int(t[k]-'1'), i, end).String()
				s.meter.chargeBytes(L, len(piece))
				out.WriteString(piece)
			}
			if out.Len() > maxText {
				L.RaiseError("resulting string too long (at most %d bytes)", maxText)
			}
		}
		return
	}
	switch v := v.(type) {
	case lua.LString:
		s.meter.chargeBytes(L, len(v))
		out.WriteString(string(v))
	case lua.LNumber:
		out.WriteString(v.String())
	default:
		if lua.LVAsBool(v) {
			L.RaiseError("invalid replacement value (a %s)", s.typeName(v))
		}
		out.WriteString(m.src[i:end])
	}
}

// maxFormatWidth bounds a width and a precision, as in Lua.
const maxFormatWidth = 99

// strFormat is string.format.
func (s *State) strFormat(L *lua.LState) int {
	format := L.CheckString(1)
	s.meter.chargeBytes(L, len(format))
	out := make([]byte, 0, len(format)+32)
	arg := 1
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			out = append(out, format[i])
			continue
		}
		i++
		if i < len(format) && format[i] == '%' {
			out = append(out, '%')
			continue
		}
		begin := i
		for i < len(format) && strings.IndexByte("-+ #0123456789.", format[i]) >= 0 {
			i++
		}
		if i == len(format) {
			L.RaiseError("invalid format: it ends after '%%'")
		}
		arg++
		out = s.conversion(L, out, format[begin:i], format[i], arg)
		if len(out) > maxText {
			L.RaiseError("resulting string too long (at most %d bytes)", maxText)
		}
	}
	L.Push(lua.LString(out))
	return 1
}

// conversion appends argument arg as the conversion verb with flags says.
func (s *State) conversion(L *lua.LState, out []byte, spec string, verb byte, arg int) []byte {
	f, ok := parseSpec(spec)
	if !ok {
		L.RaiseError("invalid format (flags, width or precision of '%%%s%c')", clip(spec, 20), verb)
	}
	var body string
	switch verb {
	case 'd', 'i':
		body = f.integer(int64(L.CheckNumber(arg)))
	case 'u', 'o', 'x', 'X', 'c':
		n := int64(L.CheckNumber(arg))
		switch verb {
		case 'c':
			body = string([]byte{byte(n)})
		case 'u':
			body = f.digits(strconv.FormatUint(uint64(n), 10), "")
		case 'o':
			body = f.digits(strconv.FormatUint(uint64(n), 8), "0")
		default:
			body = f.digits(strconv.FormatUint(uint64(n), 16), "0x")
			if verb == 'X' {
				body = strings.ToUpper(body)
			}
		}
	case 'e', 'E', 'f', 'F', 'g', 'G':
		body = f.float(float64(L.CheckNumber(arg)), verb)
	case 'q':
		t := L.CheckString(arg)
		s.meter.chargeBytes(L, 4*len(t))
		return quote(out, t)
	case 's':
		body = s.text(L, L.CheckAny(arg))
		if f.precision >= 0 && f.precision < len(body) {
			body = body[:f.precision]
		}
		s.meter.chargeBytes(L, len(body))
		f.zero = false
	default:
		L.RaiseError("invalid conversion '%%%c' to format", verb)
	}
	return f.pad(out, body)
}

// quote appends t as Lua source.
func quote(out []byte, t string) []byte {
	out = append(out, '"')
	for i := range len(t) {
		switch c := t[i]; c {
		case '"', '\\', '\n':
			out = append(out, '\\', c)
		case '\r':
			out = append(out, `\r`...)
		case 0:
			out = append(out, `\000`...)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
