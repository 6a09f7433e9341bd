package sandbox

import (
	"math"
	"math/big"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// exact is the greatest integer up to which a Lua number holds every integer.
const exact = 1 << 53

// builder is the [object.Sink] that builds Lua values.
type builder struct {
	s     *State
	roots []lua.LValue
	open  []opened
}

type opened struct {
	t     *lua.LTable
	kind  object.Kind
	key   lua.LValue // of a dict: the key whose value is next
	next  int
	class bool // has the key __class__
}

func (b *builder) reset() { b.roots, b.open = b.roots[:0], b.open[:0] }

func (b *builder) add(v lua.LValue) error {
	if len(b.open) == 0 {
		b.roots = append(b.roots, v)
		return nil
	}
	c := &b.open[len(b.open)-1]
	if c.kind != object.DictKind {
		c.next++
		c.t.RawSetInt(c.next, v)
		return nil
	}
	if c.key == nil {
		switch k := v.(type) {
		case lua.LString:
			c.class = c.class || k == "__class__"
		case lua.LNumber:
			if math.IsNaN(float64(k)) {
				return &object.Error{Code: object.CodeInvalid, Class: "TypeError", Msg: "nan cannot be a key of a dict here"}
			}
		}
		c.key = v
		return nil
	}
	if c.class && c.key == lua.LString("__class__") {
		if err := checkClass(v); err != nil {
			return err
		}
	}
	c.t.RawSet(c.key, v)
	c.key = nil
	return nil
}

// checkClass lets through the class dicts that mean something: exceptions and Pyro's own
// values. They stay data: nothing is made of them and nobody is connected to.
func checkClass(v lua.LValue) error {
	name, ok := v.(lua.LString)
	if !ok {
		return &object.Error{Code: object.CodeInvalid, Class: "SerializeError", Msg: "__class__ must be a text"}
	}
	n := string(name)
	if strings.Contains(n, "__") {
		return &object.Error{Code: object.CodeInvalid, Class: "SecurityError",
			Msg: "refused to deserialize types with double underscores in their name"}
	}
	for _, prefix := range []string{"builtins.", "exceptions.", "Pyro4.", "Pyro5."} {
		if strings.HasPrefix(n, prefix) {
			return nil
		}
	}
	return &object.Error{Code: object.CodeInvalid, Class: "SerializeError", Msg: "unsupported serialized class: " + ascii(n)}
}

// ascii cuts a foreign name to what is safe in a message.
func ascii(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

func (b *builder) Null() error {
	if len(b.open) == 0 {
		return b.add(lua.LNil)
	}
	return b.add(b.s.null)
}
func (b *builder) Bool(v bool) error { return b.add(lua.LBool(v)) }
func (b *builder) Int(v int64) error {
	if v < -exact || v > exact {
		return b.add(b.s.newInt(big.NewInt(v)))
	}
	return b.add(lua.LNumber(v))
}
func (b *builder) BigInt(d []byte) error {
	v, ok := new(big.Int).SetString(string(d), 10)
	if !ok {
		return object.Errorf(object.CodeInvalid, "malformed integer")
	}
	return b.add(b.s.newInt(v))
}
func (b *builder) Float(v float64) error      { return b.add(lua.LNumber(v)) }
func (b *builder) Complex(v complex128) error { return b.add(b.s.typed(v, b.s.mt.complex)) }
func (b *builder) Text(v []byte) error        { return b.add(lua.LString(v)) }
func (b *builder) Bytes(v []byte) error       { return b.add(b.s.typed(bytesValue(v), b.s.mt.bytes)) }
func (b *builder) DateTime(v float64) error {
	return b.add(b.s.typed(datetimeValue(v), b.s.mt.time))
}
func (b *builder) Date(v int64) error { return b.add(b.s.typed(dateValue(v), b.s.mt.time)) }

func (b *builder) Begin(k object.Kind, n int) error {
	n = min(max(n, 0), 64)
	t := b.s.l.CreateTable(n, 0)
	if k == object.DictKind {
		t = b.s.l.CreateTable(0, n)
	}
	t.Metatable = b.s.mt.kinds[k]
	b.open = append(b.open, opened{t: t, kind: k})
	return nil
}

func (b *builder) End() error {
	c := b.open[len(b.open)-1]
	b.open = b.open[:len(b.open)-1]
	return b.add(c.t)
}

// The Go sides of typed values.
type (
	bytesValue    string
	datetimeValue float64
	dateValue     int64
	floatValue    float64
)

// isWhole reports whether a number goes out as an integer: every one that is whole and
// exact, but not negative zero.
func isWhole(f float64) bool {
	return f == math.Trunc(f) && math.Abs(f) <= exact && !(f == 0 && math.Signbit(f))
}
