package sandbox

import (
	"math"
	"math/big"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// builder is the sink that makes Lua values. It has two uses: as the arguments of a call
// it takes two values, the positional arguments, which it pushes on the Lua stack one by
// one, and the keyword arguments, which it pushes as a last table if there are any;
// otherwise it keeps each value it is given in values.
type builder struct {
	s      *State
	call   bool // the next values are arguments and keyword arguments
	phase  int  // of a call: how many of the two are complete
	pushed int  // arguments on the stack
	values []lua.LValue
	left   int // elements that may still come
	frames []frame
	names  map[string]lua.LValue // texts that were keys, to spare allocating them again
}

// frame is one open container.
type frame struct {
	t      *lua.LTable // nil for the positional arguments themselves
	key    lua.LValue  // of a dict: the key whose value comes next, nil if a key comes next
	kind   object.Kind
	kwargs bool
	class  bool // has the key "__class__"
}

func (b *builder) begin(call bool) {
	b.call, b.phase, b.pushed, b.left = call, 0, 0, maxElements
	b.frames, b.values = b.frames[:0], b.values[:0]
}

func invalid(class, format string, args ...any) *object.Error {
	e := object.Errorf(object.CodeInvalid, format, args...)
	e.Class = class
	return e
}

// put adds one complete value to what is open.
func (b *builder) put(v lua.LValue) error {
	if b.left--; b.left < 0 {
		return object.Errorf(object.CodeTooLarge, "more than %d values", maxElements)
	}
	n := len(b.frames)
	if n == 0 {
		if b.call {
			return invalid("TypeError", "the arguments are not a list, or the keyword arguments not a dict")
		}
		b.values = append(b.values, v)
		return nil
	}
	f := &b.frames[n-1]
	switch {
	case f.t == nil:
		if b.pushed++; b.pushed > maxArguments {
			return object.Errorf(object.CodeTooLarge, "more than %d arguments", maxArguments)
		}
		b.s.l.Push(v)
	case f.kind != object.DictKind:
		f.t.Append(v)
	case f.key == nil:
		return b.setKey(f, v)
	default:
		b.setField(f, v)
	}
	return nil
}

// setKey takes v as the next key of a dict. What is no text, number or boolean is a key
// by identity: it goes back as it came, but only pairs finds it.
func (b *builder) setKey(f *frame, v lua.LValue) error {
	f.key = v
	if k, ok := v.(lua.LString); ok {
		f.class = f.class || k == classKey
		return nil
	}
	if f.kwargs {
		return invalid("TypeError", "keywords must be texts")
	}
	if n, ok := v.(lua.LNumber); ok && math.IsNaN(float64(n)) {
		return invalid("TypeError", "a dict key that is nan cannot stand in a Lua table")
	}
	return nil
}

// setField puts v under the key that came before. Lua keeps small whole numbers as
// positions in an array: the gap that a sparse key would fill counts as elements.
func (b *builder) setField(f *frame, v lua.LValue) {
	k := f.key
	f.key = nil
	switch k := k.(type) {
	case lua.LString:
		f.t.RawSetString(string(k), v)
	case lua.LNumber:
		if n := int(k); lua.LNumber(n) == k && n > 0 && n < lua.MaxArrayIndex {
			b.left -= max(0, n-f.t.MaxN()-1)
			if b.left < 0 {
				return // refused by the next put or End
			}
		}
		f.t.RawSet(k, v)
	default:
		f.t.RawSetH(k, v)
	}
}

// Null is None: nil as an argument, hearth.null inside containers, where nil would be
// nothing at all.
func (b *builder) Null() error {
	if n := len(b.frames); n == 0 {
		if b.call && b.phase == 1 {
			b.phase = 2
			return nil
		}
		if !b.call {
			b.values = append(b.values, lua.LNil)
			return nil
		}
	} else if b.frames[n-1].t == nil {
		return b.put(lua.LNil)
	}
	return b.put(b.s.null)
}

// Bool is a boolean.
func (b *builder) Bool(v bool) error { return b.put(lua.LBool(v)) }

// Int is a number as long as a Lua number can say it exactly.
func (b *builder) Int(v int64) error {
	if v < -maxExact || v > maxExact {
		return b.put(userdata(big.NewInt(v), b.s.mt.integer))
	}
	return b.put(number(v))
}

// BigInt is an integer of hearth.int.
func (b *builder) BigInt(decimal []byte) error {
	v, ok := parseInteger(string(decimal))
	if !ok {
		return object.Errorf(object.CodeTooLarge, "not an integer of at most %d digits", maxDigits)
	}
	return b.put(userdata(v, b.s.mt.integer))
}

// Float is a number.
func (b *builder) Float(v float64) error { return b.put(lua.LNumber(v)) }

// Complex is a number of hearth.complex.
func (b *builder) Complex(v complex128) error { return b.put(userdata(v, b.s.mt.complex)) }

// Text is a string. Short keys are remembered: they come again with every call.
func (b *builder) Text(v []byte) error {
	if n := len(b.frames); n > 0 && len(v) <= 32 {
		if f := &b.frames[n-1]; f.kind == object.DictKind && f.key == nil && f.t != nil {
			if k, ok := b.names[string(v)]; ok {
				return b.put(k)
			}
			k := lua.LString(v)
			if len(b.names) < 256 {
				b.names[string(k)] = k
			}
			return b.put(k)
		}
	}
	return b.put(lua.LString(v))
}

// Bytes is a value of hearth.bytes.
func (b *builder) Bytes(v []byte) error { return b.put(userdata(bytesValue(v), b.s.mt.bytes)) }

// DateTime is a value of hearth.datetime.
func (b *builder) DateTime(v float64) error { return b.put(userdata(dateTime(v), b.s.mt.datetime)) }

// Date is a value of hearth.date.
func (b *builder) Date(day int64) error { return b.put(userdata(dateValue(day), b.s.mt.date)) }

// Begin opens a container.
func (b *builder) Begin(k object.Kind, n int) error {
	if len(b.frames) == 0 && b.call {
		if b.phase == 0 && (k == object.ListKind || k == object.TupleKind) {
			b.frames = append(b.frames, frame{kind: k})
			return nil
		}
		if b.phase != 1 || k != object.DictKind {
			return invalid("TypeError", "the arguments are not a list, or the keyword arguments not a dict")
		}
		b.frames = append(b.frames, frame{kind: k, t: b.s.l.CreateTable(0, room(n)), kwargs: true})
		return nil
	}
	// One more than in a value: a call's arguments are a container themselves.
	if len(b.frames) > maxDepth {
		return object.Errorf(object.CodeTooLarge, "nested deeper than %d", maxDepth)
	}
	if d := len(b.frames); d > 0 {
		if f := &b.frames[d-1]; f.kind == object.DictKind && f.key == nil && k != object.TupleKind {
			return invalid("TypeError", "unhashable type: '%s'", k)
		}
	}
	var t *lua.LTable
	if k == object.DictKind {
		t = b.s.l.CreateTable(0, max(room(n), 1))
	} else {
		t = b.s.l.CreateTable(room(n), 0)
	}
	mt := &b.s.mt
	switch k {
	case object.ListKind:
		t.Metatable = mt.list
	case object.TupleKind:
		t.Metatable = mt.tuple
	case object.SetKind:
		t.Metatable = mt.set
	case object.DictKind:
		t.Metatable = mt.dict
	}
	b.frames = append(b.frames, frame{kind: k, t: t})
	return nil
}

// room is how many elements to make room for: what was announced, but not on its word
// alone if that is much.
func room(n int) int {
	if n < 0 {
		return 4
	}
	return min(n, 1024)
}

// End closes the container that was opened last.
func (b *builder) End() error {
	n := len(b.frames) - 1
	f := b.frames[n]
	b.frames[n] = frame{}
	b.frames = b.frames[:n]
	if b.left < 0 {
		return object.Errorf(object.CodeTooLarge, "more than %d values, or dict keys too far apart for a Lua table", maxElements)
	}
	switch {
	case f.t == nil:
		b.phase = 1
		return nil
	case f.kwargs:
		b.phase = 2
		if key, _ := f.t.Next(lua.LNil); key != lua.LNil {
			b.s.l.Push(f.t)
			b.pushed++
		}
		return nil
	case f.class:
		if err := b.s.checkClass(f.t); err != nil {
			return err
		}
	}
	return b.put(f.t)
}

// complete reports whether everything that was announced has come.
func (b *builder) complete() error {
	if len(b.frames) > 0 || b.call && b.phase != 2 {
		return invalid("", "the arguments end too early, after %d", b.pushed)
	}
	return nil
}
