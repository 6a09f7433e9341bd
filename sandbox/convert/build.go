package convert

import (
	"math"
	"math/big"
	"strings"

	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

// Builder is the sink that makes Lua values. A Use selects their destination:
//
// ForValues collects values.
//
// ForCall receives two values. It pushes the positional arguments on the Lua stack one by one. [Builder.Keywords] has
// the keyword arguments.
//
// ForBatch receives the list of a batch's calls, and a dict, which it ignores.
type Builder struct {
	config       Config
	types        *values.Types
	l            *lua.Thread
	use          Use
	ownedBuf     []byte      // memory that the values may refer to
	phase        int         // of a call or batch: the number of complete values, of two
	argCount     int         // number of arguments of the current call
	keywords     *lua.Table  // keyword arguments of the call; nil: none
	values       []lua.Value // the values; in a batch, the positional arguments of all calls
	calls        []BatchCall
	remaining    int // number of elements that may follow
	pendingSteps int // steps that are not yet charged
	frames       []frame
	names        map[string]lua.Value // cache of short keys, to avoid allocations
}

// Use is the purpose of the values that a Builder receives.
type Use uint8

// Purposes of the values.
const (
	ForValues Use = iota // plain values
	ForCall              // positional and keyword arguments of a call
	ForBatch             // list of the calls of a batch, and an ignored dict
)

// BatchCall is one call of a batch. Its positional arguments are those from the end of the previous call up to End.
type BatchCall struct {
	End      int
	Keywords *lua.Table // nil if absent
}

// frame is one open container.
type frame struct {
	role   role
	t      *lua.Table // the table; of keyword arguments, nil until the first
	key    lua.Value  // in a dict: the key of the next value
	hasKey bool       // key is set
	kind   object.Kind
	class  bool // it has the key "__class__"
	count  int  // in a call of a batch: the number of complete values, of three
}

// role is the function of a container in a call. The zero value is an ordinary container.
type role uint8

const (
	ordinary   role = iota
	positional      // positional arguments of a call
	keywords        // keyword arguments of a call
	batchCalls      // list of a batch's calls
	triple          // one call of a batch: method, positional arguments, keyword arguments
)

// Reset drops the values of the last use. Otherwise they would be retained, uncounted, until the next use.
func (b *Builder) Reset() {
	clear(b.frames[:cap(b.frames)])
	b.frames = b.frames[:0]
	b.values = emptied(b.values)
	b.ownedBuf = nil
	if clear(b.calls[:cap(b.calls)]); cap(b.calls) > maxKept {
		b.calls = nil
	}
	b.calls = b.calls[:0]
	b.keywords = nil
}

// Start prepares the Builder for a use. Texts may refer to memory in ownedBuf, which must not change.
func (b *Builder) Start(u Use, ownedBuf []byte) {
	b.use = u
	b.ownedBuf = ownedBuf
	b.phase = 0
	b.argCount, b.keywords = 0, nil
	b.remaining = maxElements
	b.frames = b.frames[:0]
	b.values = b.values[:0]
	b.calls = b.calls[:0]
}

// Invalid returns an error with CodeInvalid and a reason, 0 for none.
func Invalid(reason object.Reason, format string, args ...any) *object.Error {
	e := object.Errorf(object.CodeInvalid, format, args...)
	e.Reason = reason
	return e
}

// put adds a complete value to the innermost open container.
func (b *Builder) put(v lua.Value) error {
	b.remaining--
	if b.remaining < 0 {
		return object.Errorf(object.CodeTooLarge, "more than %d values", maxElements)
	}
	b.pendingSteps += elementSteps
	if b.pendingSteps >= spendEvery*elementSteps {
		steps := b.pendingSteps
		b.pendingSteps = 0
		if err := b.Spend(steps); err != nil {
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
		b.argCount++
		if b.argCount > maxArguments {
			return object.Errorf(object.CodeTooLarge, "more than %d arguments", maxArguments)
		}
		if b.use == ForBatch {
			b.values = append(b.values, v)
		} else {
			b.l.Push(v)
		}
	case f.role == triple && f.count == 0:
		f.count++ // the method, which the host has read
	case f.role == batchCalls || f.role == triple:
		return errTriple
	case f.kind != object.DictKind:
		b.grow(f.t.Append(v))
	case !f.hasKey:
		return b.setKey(f, v)
	default:
		b.setField(f, v)
	}
	return nil
}

const (
	spendEvery = 256 // number of small values between two checks of the limits
	tableSteps = 10  // steps of a table in addition to its size
)

// Spend charges for reading arguments. If it exceeds a limit, the instance is unchanged.
func (b *Builder) Spend(steps int) error {
	err := b.config.Meter.Spend(steps)
	if err == nil {
		return nil
	}
	e := *err
	msg, _, _ := strings.Cut(e.Msg, ";")
	e.Msg = msg + " while the arguments were read; not executed"
	return &e
}

// errArguments and errTriple reject a call, and a call of a batch, with parts of the wrong type.
var (
	errArguments = Invalid(object.ReasonType, "the arguments are not a list, or the keyword arguments not a dict")
	errTriple    = Invalid(object.ReasonType,
		"a call in a batch is its method, a list of arguments and a dict of keyword "+
			"arguments")
)

// setKey sets the key of the next value in a dict. A key that is not a text, number or boolean is an object: it is sent
// back unchanged, but a script finds it only with pairs.
func (b *Builder) setKey(f *frame, v lua.Value) error {
	f.key = v
	f.hasKey = true
	if k, ok := v.AsString(); ok {
		f.class = f.class || k == ClassKey
		return nil
	}
	if f.role == keywords {
		return Invalid(object.ReasonType, "keywords must be texts")
	}
	if n, ok := v.AsNumber(); ok && math.IsNaN(n) {
		return Invalid(object.ReasonType, "a dict key that is nan cannot be a key of a Lua table")
	}
	return nil
}

// setField sets the value of the last key. Lua stores small whole numbers as positions in an array, so the gap before a
// sparse key counts as elements.
func (b *Builder) setField(f *frame, v lua.Value) {
	k := f.key
	f.hasKey = false
	if f.t == nil { // first keyword argument
		f.t = b.table(0, 1)
	}
	if n, ok := k.AsNumber(); ok && n == math.Trunc(n) && n > 0 && n < maxElements {
		b.remaining -= max(0, int(n)-f.t.Room()-1)
		if b.remaining < 0 {
			return // the next put or End returns the error
		}
	}
	b.grow(f.t.Set(k, v))
}

// sharedText is the length from which a text is charged for separately.
const sharedText = 4 << 10

// grow counts memory of the values.
func (b *Builder) grow(n int) { b.l.VM().Allocated += int64(n) }

// Null receives None. As an argument it becomes nil. In a container it becomes hearth.null, because nil would remove
// the element. As keyword arguments it means an empty dict.
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
	case f.role == triple && f.count == 2:
		return b.endKeywords(nil)
	}
	return b.put(b.types.Null)
}

// Bool receives a boolean.
func (b *Builder) Bool(v bool) error { return b.put(lua.Bool(v)) }

// Int receives an integer. It becomes a number if a Lua number represents it exactly, and otherwise an integer of
// hearth.int.
func (b *Builder) Int(v int64) error {
	if v < -values.MaxExact || v > values.MaxExact {
		return b.put(b.userdata(big.NewInt(v), b.types.Integer, 8))
	}
	return b.put(lua.Number(float64(v)))
}

// BigInt receives an integer of hearth.int.
func (b *Builder) BigInt(decimal []byte) error {
	n := min(len(decimal), values.MaxDigits+1)
	if err := b.Spend(n*n>>11 + values.IntegerSteps); err != nil {
		return err
	}
	v, ok := values.ParseInteger(string(decimal))
	if !ok {
		return object.Errorf(object.CodeTooLarge, "not an integer of at most %d digits", values.MaxDigits)
	}
	return b.put(b.userdata(v, b.types.Integer, v.BitLen()/8))
}

// userdata makes a userdata. size is the size of v in bytes.
func (b *Builder) userdata(v any, mt *lua.Table, size int) lua.Value {
	b.grow(size + 80)
	return lua.NewUserData(v, mt)
}

// table makes a table and counts it.
func (b *Builder) table(array, hash int) *lua.Table {
	t := lua.NewTable(array, hash)
	b.grow(t.Size())
	b.pendingSteps += tableSteps + t.Size()>>4
	return t
}

// Float receives a number.
func (b *Builder) Float(v float64) error { return b.put(lua.Number(v)) }

// Complex receives a number of hearth.complex.
func (b *Builder) Complex(v complex128) error { return b.put(b.userdata(v, b.types.Complex, 16)) }

// Text receives a string. Short keys are cached, because calls repeat them.
func (b *Builder) Text(v []byte) error {
	if n := len(b.frames); n > 0 && len(v) <= 32 {
		if f := &b.frames[n-1]; f.kind == object.DictKind && !f.hasKey {
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
		if err := b.Spend(len(v) >> 4); err != nil {
			return err
		}
	}
	b.grow(len(v) + 40)
	return b.put(lua.String(b.text(v)))
}

func (b *Builder) text(v []byte) string {
	if unsafestr.Most(b.ownedBuf, v) {
		return unsafestr.Text(v)
	}
	return string(v)
}

// Bytes receives a value of hearth.bytes.
func (b *Builder) Bytes(v []byte) error {
	return b.put(b.userdata(values.Bytes(b.text(v)), b.types.Bytes, len(v)))
}

// DateTime receives a value of hearth.datetime.
func (b *Builder) DateTime(v float64) error {
	return b.put(b.userdata(values.DateTime(v), b.types.DateTime, 8))
}

// Date receives a value of hearth.date.
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
			b.argCount = 0
		}
		b.frames = append(b.frames, frame{role: r, kind: k})
		return nil
	}
	// One more than in a value: the arguments of a call are a container, too.
	if len(b.frames) > maxDepth {
		return object.Errorf(object.CodeTooLarge, "nested deeper than %d", maxDepth)
	}
	if d := len(b.frames); d > 0 {
		if f := &b.frames[d-1]; f.kind == object.DictKind && !f.hasKey && k != object.TupleKind {
			return Invalid(object.ReasonType, "unhashable type: '%s'", k)
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

// role returns the role of a container that begins.
func (b *Builder) role(k object.Kind) (role, error) {
	sequence := k == object.ListKind || k == object.TupleKind
	if d := len(b.frames); d > 0 {
		switch f := &b.frames[d-1]; {
		case f.role == batchCalls && sequence:
			return triple, nil
		case f.role == batchCalls:
			return 0, errTriple
		case f.role != triple || f.count == 0: // a method, which put ignores
			return ordinary, nil
		case f.count == 1 && sequence:
			return positional, nil
		case f.count == 2 && k == object.DictKind:
			return keywords, nil
		}
		return 0, errTriple
	}
	switch {
	case b.use == ForValues, b.use == ForBatch && b.phase == 1: // the keyword arguments of a batch are ignored
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

// room returns the number of elements to allocate for. It limits the announced number, which is not trusted.
func room(n int) int {
	if n < 0 {
		return 4
	}
	return min(n, 1024)
}

// End closes the innermost container.
func (b *Builder) End() error {
	n := len(b.frames) - 1
	f := b.frames[n]
	b.frames[n] = frame{}
	b.frames = b.frames[:n]
	if b.remaining < 0 { // by setField, which cannot return an error
		return object.Errorf(object.CodeTooLarge, "more than %d values, or dict keys too far apart for a Lua table",
			maxElements)
	}
	switch {
	case f.role == positional && b.use == ForBatch:
		b.frames[n-1].count++
		return nil
	case f.role == positional, f.role == batchCalls:
		b.phase = 1
		return nil
	case f.role == keywords:
		return b.endKeywords(f.t)
	case f.role == triple && f.count != 3:
		return errTriple
	case f.role == triple: // it counts like a value, but is not one
		b.remaining--
		return nil
	case f.class:
		if err := b.checkClass(f.t); err != nil {
			return err
		}
	}
	return b.put(f.t.Value())
}

// endKeywords completes a call with its keyword arguments, or nil.
func (b *Builder) endKeywords(t *lua.Table) error {
	if b.use == ForBatch {
		b.frames[len(b.frames)-1].count++
		b.calls = append(b.calls, BatchCall{End: len(b.values), Keywords: t})
		return nil
	}
	b.phase = 2
	if b.keywords = t; t != nil {
		b.argCount++
	}
	return nil
}

// Read runs args with the builder as its sink. After an error the builder drops all values, because the state may be
// idle for a long time.
func (b *Builder) Read(u Use, ownedBuf []byte, args func(object.Sink) error) error {
	b.Start(u, ownedBuf)
	err := args(b)
	if err == nil {
		err = b.Finish()
	}
	b.ownedBuf = nil
	if err != nil {
		clear(b.frames)
		clear(b.values)
		clear(b.calls)
	}
	return err
}

// Finish returns an error if an announced value or container is incomplete.
func (b *Builder) Finish() error {
	if len(b.frames) > 0 || b.use != ForValues && b.phase != 2 {
		return Invalid(0, "the arguments end too early, after %d", b.argCount)
	}
	return nil
}

// Arguments returns the number of arguments of a call; keyword arguments are one.
func (b *Builder) Arguments() int { return b.argCount }

// Keywords returns the keyword arguments of a call, nil for none.
func (b *Builder) Keywords() *lua.Table { return b.keywords }

// Value returns the first value, or nil.
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

// AppendRoots appends the values in the builder to a list, for a count of memory.
func (b *Builder) AppendRoots(list []lua.Value) []lua.Value {
	for i := range b.frames { // partially read arguments
		list = append(list, b.frames[i].t.Value())
	}
	list = append(list, b.values...)
	for i := range b.calls {
		list = append(list, b.calls[i].Keywords.Value())
	}
	return list
}
