package lua

import (
	"bytes"
	"hash/maphash"
	"math"
	"math/bits"
	"strconv"
	"unsafe"

	"github.com/hearthhost/hearth/sandbox/lua/syntax"
)

// Kind is the type of a value.
type Kind uint8

// The types have PUC's numbers. No code depends on the numbers.
const (
	NilKind Kind = iota
	BoolKind
	NumberKind
	StringKind
	TableKind
	FunctionKind
	UserDataKind
	ThreadKind
)

var kindNames = [...]string{"nil", "boolean", "number", "string", "table", "function", "userdata", "thread"}

// String returns Lua's name of the type.
func (k Kind) String() string { return kindNames[k] }

// Value is a Lua value. The zero Value is nil.
//
// ref is nil for nil. Otherwise it points to an object whose first field is its Kind: a *text, *Table, *Function,
// *UserData or *Thread, or one of the two marks below. bits holds numbers and booleans, and is 0 for all other types.
// So two values are the same object exactly if they are equal as Go values. Only strings with the same text may be
// different objects.
type Value struct {
	ref  unsafe.Pointer
	bits uint64
}

// The marks are the targets of ref for numbers and booleans. They have the type of a string object, because the search
// for a string in a table reads the kind of every key that it meets.
var (
	numberMark = text{kind: NumberKind}
	boolMark   = text{kind: BoolKind}
)

// text is a string object.
type text struct {
	kind   Kind
	shared bool   // shared by several VMs: immutable
	mark   uint16 // epoch of the last walk that found it
	hash   uint32 // 0: not computed yet
	s      string
}

// UserData is a value of the host. Its metatable defines the operations for scripts.
type UserData struct {
	kind   Kind
	shared bool // shared by several VMs: immutable
	mark   uint16
	Value  any
	Meta   *Table
	Ref    Value // a value that Value refers to; it counts as in use as long as the userdata does
	size   int   // bytes of Value, for the memory count
}

// Nil is nil; True and False are the booleans.
var (
	Nil   = Value{}
	True  = Bool(true)
	False = Bool(false)
)

// Number returns a number.
func Number(v float64) Value { return Value{unsafe.Pointer(&numberMark), math.Float64bits(v)} }

// Int returns an integer as a number.
func Int(v int) Value { return Number(float64(v)) }

// Bool returns a boolean.
func Bool(v bool) Value {
	if v {
		return Value{unsafe.Pointer(&boolMark), 1}
	}
	return Value{unsafe.Pointer(&boolMark), 0}
}

// String returns a string. The bytes are shared, not copied.
func String(s string) Value { return Value{ref: unsafe.Pointer(&text{kind: StringKind, s: s})} }

// SharedString returns a string that several VMs, and so several goroutines, may use.
func SharedString(s string) Value {
	return Value{ref: unsafe.Pointer(&text{kind: StringKind, shared: true, hash: hashString(s), s: s})}
}

// NewUserData returns a userdata with a metatable, which may be nil.
func NewUserData(v any, meta *Table) Value {
	return Value{ref: unsafe.Pointer(&UserData{kind: UserDataKind, Value: v, Meta: meta})}
}

// Value returns the table as a value, or nil for a nil table.
func (t *Table) Value() Value { return Value{ref: unsafe.Pointer(t)} }

// Value returns the function as a value, or nil for a nil function.
func (f *Function) Value() Value { return Value{ref: unsafe.Pointer(f)} }

// Value returns the coroutine as a value.
func (L *Thread) Value() Value { return Value{ref: unsafe.Pointer(L)} }

// Kind returns the type of the value.
func (v Value) Kind() Kind {
	if v.ref == nil {
		return NilKind
	}
	return *(*Kind)(v.ref)
}

// IsNil reports whether the value is nil.
func (v Value) IsNil() bool { return v.ref == nil }

// IsNumber reports whether the value is a number.
func (v Value) IsNumber() bool { return v.ref == unsafe.Pointer(&numberMark) }

// Truth reports whether a condition on the value holds: it is neither nil nor false.
func (v Value) Truth() bool {
	return v.ref != nil && (v.ref != unsafe.Pointer(&boolMark) || v.bits != 0)
}

func (v Value) number() float64 { return math.Float64frombits(v.bits) }

func (v Value) text() *text { return (*text)(v.ref) }

// AsNumber returns the number, and false for other types.
func (v Value) AsNumber() (float64, bool) { return v.number(), v.IsNumber() }

// AsString returns the text, and false for other types.
func (v Value) AsString() (string, bool) {
	if v.Kind() != StringKind {
		return "", false
	}
	return v.text().s, true
}

// AsTable returns the table, or nil for other types.
func (v Value) AsTable() *Table {
	if v.Kind() != TableKind {
		return nil
	}
	return (*Table)(v.ref)
}

// AsFunction returns the function, or nil for other types.
func (v Value) AsFunction() *Function {
	if v.Kind() != FunctionKind {
		return nil
	}
	return (*Function)(v.ref)
}

// AsUserData returns the userdata, or nil for other types.
func (v Value) AsUserData() *UserData {
	if v.Kind() != UserDataKind {
		return nil
	}
	return (*UserData)(v.ref)
}

// AsThread returns the coroutine, or nil for other types.
func (v Value) AsThread() *Thread {
	if v.Kind() != ThreadKind {
		return nil
	}
	return (*Thread)(v.ref)
}

// ToNumber converts a number, or a string that is a numeral.
func (v Value) ToNumber() (float64, bool) {
	switch v.Kind() {
	case NumberKind:
		return v.number(), true
	case StringKind:
		return syntax.ParseNumber(v.text().s)
	}
	return 0, false
}

// ToString converts a string or a number.
func (v Value) ToString() (string, bool) {
	switch v.Kind() {
	case StringKind:
		return v.text().s, true
	case NumberKind:
		return FormatNumber(v.number()), true
	}
	return "", false
}

// Equals compares without metamethods.
func (v Value) Equals(o Value) bool {
	if v == o {
		return v.ref != unsafe.Pointer(&numberMark) || v.number() == v.number() // not if it is nan
	}
	switch {
	case v.IsNumber() && o.IsNumber():
		return v.number() == o.number() // 0 and -0
	case v.Kind() == StringKind && o.Kind() == StringKind:
		return v.text().s == o.text().s
	}
	return false
}

// Identity returns a number that is unique to an object within a process run; 0 for nil, booleans, numbers and strings.
// The number is not derived from the address of the object.
func (v Value) Identity() uint64 {
	if v.Kind() < TableKind {
		return 0
	}
	return maphash.Comparable(seed, v.ref)
}

// Settings of the conversion to text. Tests change them.
var (
	maxPlainInteger float64 = 1 << 53 // bounds the integers that are written in full
	addressWidth            = 16      // digits of the identity of an object
)

// WriteAsPUC makes the process format numbers from 1e14 on with "%.14g", too, and identities with 12 digits. Then a
// comparison with PUC finds no differences in texts. It is for tests, before any VM runs.
func WriteAsPUC() {
	maxPlainInteger = 1e14
	addressWidth = 12
}

// FormatNumber formats a number as PUC does, with "%.14g", but integers below 2^53 in full.
func FormatNumber(f float64) string {
	var buf [32]byte
	return string(AppendNumber(buf[:0], f))
}

// NumberSteps returns the steps of formatting a number.
func NumberSteps(f float64) int {
	if f > -maxPlainInteger && f < maxPlainInteger && f == math.Trunc(f) {
		return numberSteps / 4
	}
	return numberSteps
}

// AppendNumber appends a number in the format of [FormatNumber].
func AppendNumber(b []byte, f float64) []byte {
	if exact := maxPlainInteger; f > -exact && f < exact && f == math.Trunc(f) {
		if f == 0 && math.Signbit(f) {
			return append(b, "-0"...)
		}
		return strconv.AppendInt(b, int64(f), 10)
	}
	switch {
	case math.IsNaN(f):
		if math.Signbit(f) {
			return append(b, "-nan"...)
		}
		return append(b, "nan"...)
	case math.IsInf(f, 1):
		return append(b, "inf"...)
	case math.IsInf(f, -1):
		return append(b, "-inf"...)
	}
	return appendG(b, f)
}

// appendG appends by "%.14g". Go's own 'g' differs in when it uses an exponent and in its digits.
func appendG(b []byte, f float64) []byte {
	const precision = 14
	var buf [40]byte
	e := strconv.AppendFloat(buf[:0], f, 'e', precision-1, 64)
	cut := len(e) - 1
	for e[cut] != 'e' {
		cut--
	}
	exponent, _ := strconv.Atoi(string(e[cut+1:]))
	if exponent < -4 || exponent >= precision {
		return append(append(b, trimZeros(e[:cut])...), e[cut:]...)
	}
	return append(b, trimZeros(strconv.AppendFloat(buf[:0], f, 'f', precision-1-exponent, 64))...)
}

// trimZeros removes zeros at the end of a fraction, and a decimal point at the end.
func trimZeros(b []byte) []byte {
	if bytes.IndexByte(b, '.') < 0 {
		return b
	}
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	if b[len(b)-1] == '.' {
		b = b[:len(b)-1]
	}
	return b
}

// seed makes hashes differ between runs of the process, so that clients cannot choose keys that collide.
var (
	seed  = maphash.MakeSeed()
	seed1 = maphash.String(seed, "1")
	seed2 = maphash.String(seed, "2") | 1
)

// hashString never returns 0.
func hashString(s string) uint32 {
	h := uint32(maphash.String(seed, s))
	if h == 0 {
		h = 1
	}
	return h
}

func (t *text) hashed() uint32 {
	if t.hash == 0 {
		t.hash = hashString(t.s)
	}
	return t.hash
}

func hashBits(n uint64) uint32 {
	hi, lo := bits.Mul64(n^seed1, seed2)
	return uint32(hi ^ lo)
}

// hash returns the hash of a key. -0 and 0 are the same key.
func (v Value) hash() uint32 {
	switch v.Kind() {
	case StringKind:
		return v.text().hashed()
	case NumberKind:
		if v.number() == 0 {
			return hashBits(0)
		}
		return hashBits(v.bits)
	case BoolKind:
		return uint32(v.bits)
	}
	return hashBits(uint64(uintptr(v.ref)))
}
