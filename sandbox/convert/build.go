package convert

import (
	"github.com/hearthhost/hearth/sandbox/values"
	"math"
	"math/big"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"

	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
)

// Builder is the sink that makes Lua values. What it makes them of is its use: of each value
// it is given; of the two that make a call, the positional arguments, which it pushes on the
// Lua stack one by one, and the keyword arguments, which it pushes as a last table if there
// are any; or of the list of calls that makes a batch, and a dict that means nothing.
type Builder struct {
	config Config
	types  *values.Types
	l      *lua.Thread
	use    Use
	own    []byte      // memory that the values may keep
	phase  int         // of a call or batch: how many of the two values are complete
	pushed int         // arguments of the call that is read
	values []lua.Value // the values; of a batch, the positional arguments of all its calls
	calls  []BatchCall
	left   int // elements that may still come
	owed   int // steps for what was read since the limits were checked
	frames []frame
	names  map[string]lua.Value // texts that were keys, to spare allocating them again
}

// Use is the purpose of the values that a Builder receives.
type Use uint8

const (
	ForValues Use = iota // plain values
	ForCall              // positional and keyword arguments of a call
	ForBatch             // list of the calls of a batch, and an ignored dict
)

// BatchCall is one call of a batch: its positional arguments are those up to end, from the
// end of the one before.
type BatchCall struct {
	End      int
	Keywords *lua.Table // nil: none
}

// frame is one open container.
type frame struct {
	role  role
	t     *lua.Table // of an ordinary one, or of keyword arguments once there is one
	key   lua.Value  // of a dict: the key whose value comes next
	keyed bool       // there is one
	kind  object.Kind
	class bool // has the key "__class__"
	at    int  // of a call of a batch: how many of its three values are complete
}

// role is what a container is to a call. The zero value is an ordinary one.
type role uint8

const (
	ordinary   role = iota
	positional      // the positional arguments of a call
	keywords        // its keyword arguments
	batchCalls      // the list of a batch's calls
	triple          // one of them: method, positional arguments, keyword arguments
)

// Reset lets go of the values of the last use: they would be kept, uncounted, until the next.
func (b *Builder) Reset() {
	clear(b.frames[:cap(b.frames)])
	b.frames, b.values, b.own = b.frames[:0], atRest(b.values), nil
	if clear(b.calls[:cap(b.calls)]); cap(b.calls) > maxKept {
		b.calls = nil
	}
	b.calls = b.calls[:0]
}

// Start makes the Builder ready for a use. Texts may keep what is in own.
func (b *Builder) Start(u Use, own []byte) {
	b.use, b.own, b.phase, b.pushed, b.left = u, own, 0, 0, maxElements
	b.frames, b.values, b.calls = b.frames[:0], b.values[:0], b.calls[:0]
}

func Invalid(class, format string, args ...any) *object.Error {
	e := object.Errorf(object.CodeInvalid, format, args...)
	e.Class = class
	return e
}

// put adds one complete value to what is open.
func (b *Builder) put(v lua.Value) error {
	if b.left--; b.left < 0 {
		return object.Errorf(object.CodeTooLarge, "more than %d values", maxElements)
	}
	if b.owed += elementSteps; b.owed >= spendEvery*elementSteps {
		owed := b.owed
		b.owed = 0
		if err := b.spend(owed); err != nil {
			return err
		}
	}
	n := len(b.frames)
	if n == 0 {
		switch {
		case b.use == ForBatch && b.phase == 1:
			b.phase = 2
			return nil
		case b.use != ForValues:
			return errArguments
		}
		b.values = append(b.values, v)
		return nil
	}
	f := &b.frames[n-1]
	switch {
	case f.role == positional:
		if b.pushed++; b.pushed > maxArguments {
			return object.Errorf(object.CodeTooLarge, "more than %d arguments", maxArguments)
		}
		if b.use == ForBatch {
			b.values = append(b.values, v)
		} else {
			b.l.Push(v)
		}
	case f.role == triple && f.at == 0:
		f.at++ // the method, which the host has read
	case f.role == batchCalls || f.role == triple:
		return errTriple
	case f.kind != object.DictKind:
		b.grow(f.t.Append(v))
	case !f.keyed:
		return b.setKey(f, v)
	default:
		b.setField(f, v)
	}
	return nil
}

const (
	spendEvery = 256 // small values that are read or written between two checks of the limits
	tableSteps = 10  // a table besides its size
)

// spend takes steps for reading arguments. A limit that this spends leaves the instance as it was.
func (b *Builder) spend(steps int) error {
	err := b.config.Meter.Spend(steps)
	if err == nil {
		return nil
	}
	e := *err
	msg, _, _ := strings.Cut(e.Msg, ";")
	e.Msg = msg + " while the arguments were read; not executed"
	return &e
}

// errArguments and errTriple say that a call, and one of a batch, is not made of what it should be.
var (
	errArguments = Invalid("TypeError", "the arguments are not a list, or the keyword arguments not a dict")
	errTriple    = Invalid("TypeError", "a call in a batch is its method, a list of arguments and a dict of keyword arguments")
)

// setKey takes v as the next key of a dict. What is no text, number or boolean is a key
// by identity: it goes back as it came, but only pairs finds it.
func (b *Builder) setKey(f *frame, v lua.Value) error {
	f.key = v
	f.keyed = true
	if k, ok := v.AsString(); ok {
		f.class = f.class || k == ClassKey
		return nil
	}
	if f.role == keywords {
		return Invalid("TypeError", "keywords must be texts")
	}
	if n, ok := v.AsNumber(); ok && math.IsNaN(n) {
		return Invalid("TypeError", "a dict key that is nan cannot stand in a Lua table")
	}
	return nil
}

// setField puts v under the key that came before. Lua keeps small whole numbers as
// positions in an array: the gap that a sparse key would fill counts as elements.
func (b *Builder) setField(f *frame, v lua.Value) {
	k := f.key
	f.keyed = false
	if f.t == nil { // the first keyword
		f.t = b.table(0, 1)
	}
	if n, ok := k.AsNumber(); ok && n == math.Trunc(n) && n > 0 && n < maxElements {
		b.left -= max(0, int(n)-f.t.Room()-1)
		if b.left < 0 {
			return // refused by the next put or End
		}
	}
	b.grow(f.t.Set(k, v))
}

// sharedText is the length from which on a text is charged for on its own.
const sharedText = 4 << 10

// grow counts memory that the values take.
func (b *Builder) grow(n int) { b.l.VM().Allocated += int64(n) }

// Null is None: nil as an argument, hearth.null inside containers, where nil would be
// nothing at all. As keyword arguments it is none.
func (b *Builder) Null() error {
	n := len(b.frames)
	if n == 0 {
		switch {
		case b.use == ForCall && b.phase == 1:
			b.phase = 2
			return nil
		case b.use == ForValues:
			b.values = append(b.values, lua.Nil)
			return nil
		}
		return b.put(b.types.Null)
	}
	switch f := &b.frames[n-1]; {
	case f.role == positional:
		return b.put(lua.Nil)
	case f.role == triple && f.at == 2:
		return b.endKeywords(nil)
	}
	return b.put(b.types.Null)
}

// Bool is a boolean.
func (b *Builder) Bool(v bool) error { return b.put(lua.Bool(v)) }

// Int is a number as long as a Lua number can say it exactly.
func (b *Builder) Int(v int64) error {
	if v < -values.MaxExact || v > values.MaxExact {
		return b.put(b.userdata(big.NewInt(v), b.types.Integer, 8))
	}
	return b.put(lua.Number(float64(v)))
}

// BigInt is an integer of hearth.int.
func (b *Builder) BigInt(decimal []byte) error {
	n := min(len(decimal), values.MaxDigits+1)
	if err := b.spend(n*n>>11 + values.IntegerSteps); err != nil {
		return err
	}
	v, ok := values.ParseInteger(string(decimal))
	if !ok {
		return object.Errorf(object.CodeTooLarge, "not an integer of at most %d digits", values.MaxDigits)
	}
	return b.put(b.userdata(v, b.types.Integer, v.BitLen()/8))
}

// userdata makes a userdata with size bytes of its own.
func (b *Builder) userdata(v any, mt *lua.Table, size int) lua.Value {
	b.grow(size + 80)
	return lua.NewUserData(v, mt)
}

// table makes a table.
func (b *Builder) table(array, hash int) *lua.Table {
	t := lua.NewTable(array, hash)
	b.grow(t.Size())
	b.owed += tableSteps + t.Size()>>4
	return t
}

// Float is a number.
func (b *Builder) Float(v float64) error { return b.put(lua.Number(v)) }

// Complex is a number of hearth.complex.
func (b *Builder) Complex(v complex128) error { return b.put(b.userdata(v, b.types.Complex, 16)) }

// Text is a string. Short keys are remembered: they come again with every call.
func (b *Builder) Text(v []byte) error {
	if n := len(b.frames); n > 0 && len(v) <= 32 {
		if f := &b.frames[n-1]; f.kind == object.DictKind && !f.keyed {
			if k, ok := b.names[string(v)]; ok {
				return b.put(k)
			}
			k := lua.String(string(v))
			if len(b.names) < 256 {
				b.names[string(v)] = k
			}
			return b.put(k)
		}
	}
	if len(v) > sharedText {
		if err := b.spend(len(v) >> 4); err != nil {
			return err
		}
	}
	b.grow(len(v) + 40)
	return b.put(lua.String(b.text(v)))
}

func (b *Builder) text(v []byte) string {
	if unsafestr.Most(b.own, v) {
		return unsafestr.Text(v)
	}
	return string(v)
}

// Bytes is a value of hearth.bytes.
func (b *Builder) Bytes(v []byte) error {
	return b.put(b.userdata(values.Bytes(b.text(v)), b.types.Bytes, len(v)))
}

// DateTime is a value of hearth.datetime.
func (b *Builder) DateTime(v float64) error {
	return b.put(b.userdata(values.DateTime(v), b.types.DateTime, 8))
}

// Date is a value of hearth.date.
func (b *Builder) Date(day int64) error {
	return b.put(b.userdata(values.Date(day), b.types.Date, 8))
}

// Begin opens a container.
func (b *Builder) Begin(k object.Kind, n int) error {
	r, err := b.role(k)
	if err != nil {
		return err
	}
	if r != ordinary {
		if r == positional {
			b.pushed = 0
		}
		b.frames = append(b.frames, frame{role: r, kind: k})
		return nil
	}
	// One more than in a value: a call's arguments are a container themselves.
	if len(b.frames) > maxDepth {
		return object.Errorf(object.CodeTooLarge, "nested deeper than %d", maxDepth)
	}
	if d := len(b.frames); d > 0 {
		if f := &b.frames[d-1]; f.kind == object.DictKind && !f.keyed && k != object.TupleKind {
			return Invalid("TypeError", "unhashable type: '%s'", k)
		}
	}
	var t *lua.Table
	if k == object.DictKind {
		t = b.table(0, room(n))
	} else {
		t = b.table(room(n), 0)
	}
	mt := b.types
	switch k {
	case object.ListKind:
		t.SetMeta(mt.List)
	case object.TupleKind:
		t.SetMeta(mt.Tuple)
	case object.SetKind:
		t.SetMeta(mt.Set)
	case object.DictKind:
		t.SetMeta(mt.Dict)
	}
	b.frames = append(b.frames, frame{kind: k, t: t})
	return nil
}

// role is what a container that begins is to the call or batch that is read.
func (b *Builder) role(k object.Kind) (role, error) {
	sequence := k == object.ListKind || k == object.TupleKind
	if d := len(b.frames); d > 0 {
		switch f := &b.frames[d-1]; {
		case f.role == batchCalls && sequence:
			return triple, nil
		case f.role == batchCalls:
			return 0, errTriple
		case f.role != triple || f.at == 0:
			return ordinary, nil
		case f.at == 1 && sequence:
			return positional, nil
		case f.at == 2 && k == object.DictKind:
			return keywords, nil
		}
		return 0, errTriple
	}
	switch {
	case b.use == ForValues, b.use == ForBatch && b.phase == 1:
		return ordinary, nil
	case b.use == ForCall && b.phase == 0 && sequence:
		return positional, nil
	case b.use == ForCall && b.phase == 1 && k == object.DictKind:
		return keywords, nil
	case b.use == ForBatch && b.phase == 0 && sequence:
		return batchCalls, nil
	}
	return 0, errArguments
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
func (b *Builder) End() error {
	n := len(b.frames) - 1
	f := b.frames[n]
	b.frames[n] = frame{}
	b.frames = b.frames[:n]
	if b.left < 0 {
		return object.Errorf(object.CodeTooLarge, "more than %d values, or dict keys too far apart for a Lua table", maxElements)
	}
	switch {
	case f.role == positional && b.use == ForBatch:
		b.frames[n-1].at++
		return nil
	case f.role == positional, f.role == batchCalls:
		b.phase = 1
		return nil
	case f.role == keywords:
		return b.endKeywords(f.t)
	case f.role == triple && f.at != 3:
		return errTriple
	case f.role == triple:
		b.left--
		return nil
	case f.class:
		if err := b.checkClass(f.t); err != nil {
			return err
		}
	}
	return b.put(f.t.Value())
}

// endKeywords takes the keyword arguments of a call, nil if there are none.
func (b *Builder) endKeywords(t *lua.Table) error {
	if b.use == ForBatch {
		b.frames[len(b.frames)-1].at++
		b.calls = append(b.calls, BatchCall{End: len(b.values), Keywords: t})
		return nil
	}
	b.phase = 2
	if t != nil {
		b.l.Push(t.Value())
		b.pushed++
	}
	return nil
}

// Read builds what args feeds it. If that goes wrong nothing of it is kept: the state may be
// called next in an hour, or never.
func (b *Builder) Read(u Use, own []byte, args func(object.Sink) error) error {
	b.Start(u, own)
	err := args(b)
	if err == nil {
		err = b.Finish()
	}
	b.own = nil
	if err != nil {
		clear(b.frames)
		clear(b.values)
		clear(b.calls)
	}
	return err
}

// Finish reports whether everything that was announced has come.
func (b *Builder) Finish() error {
	if len(b.frames) > 0 || b.use != ForValues && b.phase != 2 {
		return Invalid("", "the arguments end too early, after %d", b.pushed)
	}
	return nil
}

// Pushed returns the number of arguments that were pushed on the stack for a call; keyword arguments are one.
func (b *Builder) Pushed() int { return b.pushed }

// Value returns the first value, nil if none was received.
func (b *Builder) Value() lua.Value {
	if len(b.values) == 0 {
		return lua.Nil
	}
	return b.values[0]
}

// TakeBatch returns the calls of a batch and the positional arguments of all of them. The builder keeps neither.
func (b *Builder) TakeBatch() ([]lua.Value, []BatchCall) {
	args, calls := b.values, b.calls
	b.values, b.calls = nil, nil
	return args, calls
}

// AppendRoots appends the values that the builder holds to a list, for a count of memory.
func (b *Builder) AppendRoots(list []lua.Value) []lua.Value {
	for i := range b.frames { // arguments that are being read
		list = append(list, b.frames[i].t.Value())
	}
	list = append(list, b.values...)
	for i := range b.calls {
		list = append(list, b.calls[i].Keywords.Value())
	}
	return list
}
