package sandbox

import (
	"fmt"
	"math/big"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// Bounds on a result.
const (
	maxResultDepth    = 64
	maxResultElements = 1_000_000
)

// writer feeds Lua values to a sink.
type writer struct {
	s        *State
	to       object.Sink
	proto    object.Protocol
	depth    int
	elements int
	path     []string // where in the result we are, for messages
}

func typeError(format string, args ...any) error {
	return &object.Error{Code: object.CodeInvalid, Class: "TypeError", Msg: fmt.Sprintf(format, args...)}
}

func (w *writer) where() string { return "result" + strings.Join(w.path, "") }

// value writes one value.
func (w *writer) value(v lua.LValue) error {
	if w.elements++; w.elements > maxResultElements {
		return typeError("%s: more than %d values", w.where(), maxResultElements)
	}
	switch v := v.(type) {
	case *lua.LNilType:
		return w.to.Null()
	case lua.LBool:
		return w.to.Bool(bool(v))
	case lua.LNumber:
		if f := float64(v); !isWhole(f) {
			return w.to.Float(f)
		}
		return w.to.Int(int64(v))
	case lua.LString:
		return w.text(string(v))
	case *lua.LTable:
		return w.table(v)
	case *lua.LUserData:
		return w.typed(v)
	}
	return typeError("%s is a %s: only data can be sent", w.where(), v.Type())
}

func (w *writer) text(s string) error {
	if !validText(s) {
		return typeError("%s is not UTF-8 text: wrap it in hearth.bytes", w.where())
	}
	return w.to.Text([]byte(s))
}

// validText reports whether s is UTF-8, lone surrogates allowed.
func validText(s string) bool {
	if utf8.ValidString(s) {
		return true
	}
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			if len(s) < 3 || s[0] != 0xED || s[1] < 0xA0 || s[1] > 0xBF || s[2] < 0x80 || s[2] > 0xBF {
				return false
			}
			n = 3
		}
		s = s[n:]
	}
	return true
}

func (w *writer) typed(u *lua.LUserData) error {
	switch v := u.Value.(type) {
	case nullValue:
		return w.to.Null()
	case *big.Int:
		if v.IsInt64() {
			return w.to.Int(v.Int64())
		}
		return w.to.BigInt(v.Append(nil, 10))
	case floatValue:
		return w.to.Float(float64(v))
	case complex128:
		return w.to.Complex(v)
	case bytesValue:
		return w.to.Bytes([]byte(v))
	case datetimeValue:
		return w.to.DateTime(float64(v))
	case dateValue:
		return w.to.Date(int64(v))
	}
	return typeError("%s cannot be sent", w.where())
}

// kind tells what a table is: what it is marked as, else a list if its keys are 1…n,
// else a dict.
func (w *writer) kind(t *lua.LTable) (object.Kind, int) {
	for k := object.ListKind; k <= object.DictKind; k++ {
		if t.Metatable == w.s.mt.kinds[k] {
			if k == object.DictKind {
				return k, count(t)
			}
			return k, t.Len()
		}
	}
	if n := t.Len(); n == count(t) {
		return object.ListKind, n
	}
	return object.DictKind, count(t)
}

func count(t *lua.LTable) int {
	n := 0
	t.ForEach(func(lua.LValue, lua.LValue) { n++ })
	return n
}

func (w *writer) table(t *lua.LTable) error {
	if w.depth++; w.depth > maxResultDepth {
		return typeError("result is nested deeper than %d, or contains itself", maxResultDepth)
	}
	defer func() { w.depth-- }()
	kind, n := w.kind(t)
	if err := w.to.Begin(kind, n); err != nil {
		return err
	}
	at := len(w.path)
	w.path = append(w.path, "")
	defer func() { w.path = w.path[:at] }()
	var err error
	if kind != object.DictKind {
		for i := 1; i <= n && err == nil; i++ {
			w.path[at] = "[…]"
			err = w.value(t.RawGetInt(i))
		}
	} else {
		err = w.pairs(t, at)
	}
	if err != nil {
		return err
	}
	return w.to.End()
}

// pairs writes a dict; a class dict has its __class__ first, in the caller's generation.
func (w *writer) pairs(t *lua.LTable, at int) error {
	class := t.RawGetString("__class__")
	if name, ok := class.(lua.LString); ok {
		if err := w.to.Text([]byte("__class__")); err != nil {
			return err
		}
		n := string(name)
		if rest, ok := strings.CutPrefix(n, "Pyro4."); ok && w.proto == object.Pyro5 {
			n = "Pyro5." + rest
		} else if rest, ok := strings.CutPrefix(n, "Pyro5."); ok && w.proto == object.Pyro4 {
			n = "Pyro4." + rest
		}
		if err := w.to.Text([]byte(n)); err != nil {
			return err
		}
	}
	var err error
	t.ForEach(func(k, v lua.LValue) {
		if err != nil {
			return
		}
		if _, ok := class.(lua.LString); ok && k == lua.LString("__class__") {
			return
		}
		w.path[at] = "[" + ascii(k.String()) + "]"
		if err = w.value(k); err == nil {
			err = w.value(v)
		}
	})
	return err
}
