package object

// Kind is a kind of container.
type Kind uint8

// The kinds of container.
const (
	ListKind  Kind = 1
	TupleKind Kind = 2
	SetKind   Kind = 3
	DictKind  Kind = 4 // elements come as key, value, key, value, …
)

// String returns the Python name of the container.
func (k Kind) String() string {
	return [...]string{"?", "list", "tuple", "set", "dict"}[min(k, 4)]
}

// Sink receives values as a series of events, one complete value after another. It is
// the seam between serializers and whatever holds values: a decoder drives a Sink that
// builds (Lua values, Go values), and whoever has values drives a Sink that encodes. A
// decoder can even drive an encoder, which translates without holding anything.
//
// The first error stops the series; the driver returns it unchanged. Byte slices are
// valid during the call only: whoever keeps them copies them.
type Sink interface {
	Null() error
	Bool(v bool) error
	Int(v int64) error
	// BigInt is an integer outside int64 in decimal, "-" first if negative, no leading zeros.
	BigInt(decimal []byte) error
	Float(v float64) error
	Complex(v complex128) error
	// Text is UTF-8. Lone surrogates, which Python texts may hold, stand in it as the
	// three bytes that UTF-8's scheme gives them (ED A0 80 … ED BF BF); a sink that
	// cannot say them refuses with CodeInvalid.
	Text(v []byte) error
	Bytes(v []byte) error
	// DateTime is a date and time without a zone, as seconds since
	// 1970-01-01T00:00:00 of that same unnamed zone.
	DateTime(v float64) error
	// Date is a proleptic Gregorian day number, 1 being 0001-01-01.
	Date(day int64) error
	// Begin opens a container of n elements (pairs, for DictKind); n is -1 if not yet known.
	Begin(k Kind, n int) error
	// End closes the container that was opened last.
	End() error
}
