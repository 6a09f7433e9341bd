package object

// Kind is a kind of container.
type Kind uint8

// The kinds of container.
const (
	ListKind  Kind = 1
	TupleKind Kind = 2
	SetKind   Kind = 3
	DictKind  Kind = 4 // elements in the order key, value, key, value, …
)

// String returns the Python name of the container.
func (k Kind) String() string {
	return [...]string{"?", "list", "tuple", "set", "dict"}[min(k, 4)]
}

// Sink receives values as a sequence of events, one complete value after another. It connects serializers and owners
// of values. A decoder drives a Sink that builds Lua or Go values. The owner of a value drives a Sink that encodes. A
// decoder can drive an encoder, which translates without a copy of the value.
//
// The first error ends the sequence; the driver returns it unchanged. Byte slices are valid during the call only: a
// Sink copies the bytes that it keeps.
type Sink interface {
	Null() error
	Bool(v bool) error
	Int(v int64) error
	// BigInt is an integer outside int64 in decimal, with "-" if negative, without leading zeros.
	BigInt(decimal []byte) error
	Float(v float64) error
	Complex(v complex128) error
	// Text is UTF-8. A lone surrogate, which Python texts may hold, is three bytes in the scheme of UTF-8
	// (ED A0 80 … ED BF BF). A sink that cannot represent it returns CodeInvalid.
	Text(v []byte) error
	Bytes(v []byte) error
	// DateTime is a date and time without a zone, as seconds since 1970-01-01T00:00:00 in the same zone.
	DateTime(v float64) error
	// Date is a proleptic Gregorian day number; 1 is 0001-01-01.
	Date(day int64) error
	// Begin opens a container of n elements (pairs for DictKind); n is -1 if unknown.
	Begin(k Kind, n int) error
	// End closes the last open container.
	End() error
}

// Discard is a [Sink] that discards all values.
type Discard struct{}

var _ Sink = Discard{}

// The methods of [Sink] accept every value.
func (Discard) Null() error              { return nil }
func (Discard) Bool(bool) error          { return nil }
func (Discard) Int(int64) error          { return nil }
func (Discard) BigInt([]byte) error      { return nil }
func (Discard) Float(float64) error      { return nil }
func (Discard) Complex(complex128) error { return nil }
func (Discard) Text([]byte) error        { return nil }
func (Discard) Bytes([]byte) error       { return nil }
func (Discard) DateTime(float64) error   { return nil }
func (Discard) Date(int64) error         { return nil }
func (Discard) Begin(Kind, int) error    { return nil }
func (Discard) End() error               { return nil }
