package codec

import (
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
)

// Go values of the formats' types. None is nil, a bool is a bool, and an int is an int64 or, outside its range, a
// *big.Int. Floats, complex numbers, texts and bytes are float64, complex128, string and []byte. A list is a []any. A
// dict is a map[string]any if all its keys are texts, otherwise a [Dict]. A date and time is a [time.Time]; an
// exception is an *[Exception].
//
// Strings may hold lone surrogates as [object.Sink] describes them.
type (
	// Tuple is a Python tuple.
	Tuple []any
	// Set is a Python set or frozenset. The elements keep their order in the document.
	Set []any
	// Pair is a key of a [Dict] with its value.
	Pair struct{ Key, Value any }
	// Dict is a dict with keys of any kind, in order.
	Dict []Pair
	// Date is a proleptic Gregorian day number, 1 being 0001-01-01.
	Date int64
)

// Append appends v as one document of s to buf. It accepts the values that [Unmarshal] returns, integers and floats
// of any size, []string and any [Writer].
//
// The keys of a map are written in sorted order: equal values give equal bytes. A time.Time is written as the clock
// time of its location, in microseconds, without its zone. Errors are those of [Encoder]. Values of other types are
// CodeInvalid with ReasonType.
func Append(s Serializer, buf []byte, v any) ([]byte, error) {
	e := s.NewEncoder(buf)
	if err := Write(e, v); err != nil {
		return nil, err
	}
	return e.Document()
}

// Write feeds a value of [Append] to the sink.
func Write(sink object.Sink, v any) error {
	w := valueWriter{sink: sink}
	w.value(v)
	return w.err
}

// Writer is a value that [Append] does not know. WriteValue feeds exactly one value to the sink.
type Writer interface {
	WriteValue(sink object.Sink) error
}

// Unmarshal returns the value of a document. Errors are those of [Serializer].Decode.
func Unmarshal(s Serializer, doc []byte, lim Limits) (any, error) {
	return unmarshal(s, doc, lim, &Builder{})
}

// UnmarshalNoCopy is [Unmarshal] without a copy of a text or bytes that fill most of the document. The document then
// belongs to the value.
func UnmarshalNoCopy(s Serializer, doc []byte, lim Limits) (any, error) {
	return unmarshal(s, doc, lim, &Builder{owned: doc})
}

func unmarshal(s Serializer, doc []byte, lim Limits, b *Builder) (any, error) {
	if err := s.Decode(doc, lim, b); err != nil {
		return nil, err
	}
	return b.Value(), nil
}

// valueWriter feeds Go values to a sink until the first error.
type valueWriter struct {
	sink object.Sink
	err  error
}

func (w *valueWriter) text(s string) {
	if w.err == nil {
		w.err = w.sink.Text(unsafestr.Bytes(s))
	}
}

func (w *valueWriter) begin(k object.Kind, n int) {
	if w.err == nil {
		w.err = w.sink.Begin(k, n)
	}
}

func (w *valueWriter) null() {
	if w.err == nil {
		w.err = w.sink.Null()
	}
}

func (w *valueWriter) end() {
	if w.err == nil {
		w.err = w.sink.End()
	}
}

func (w *valueWriter) sequence(k object.Kind, items []any) {
	w.begin(k, len(items))
	for _, item := range items {
		w.value(item)
	}
	w.end()
}

func (w *valueWriter) dict(m map[string]any) {
	w.begin(object.DictKind, len(m))
	if len(m) > 0 { // sorting allocates
		for _, k := range slices.Sorted(maps.Keys(m)) {
			w.text(k)
			w.value(m[k])
		}
	}
	w.end()
}

func (w *valueWriter) value(v any) {
	if w.err != nil {
		return
	}
	switch v := v.(type) {
	case nil:
		w.err = w.sink.Null()
	case bool:
		w.err = w.sink.Bool(v)
	case float64:
		w.err = w.sink.Float(v)
	case float32:
		w.err = w.sink.Float(float64(v))
	case complex128:
		w.err = w.sink.Complex(v)
	case string:
		w.text(v)
	case []byte:
		w.err = w.sink.Bytes(v)
	case time.Time:
		w.err = w.sink.DateTime(clockSeconds(v))
	case Date:
		w.err = w.sink.Date(int64(v))
	case *Exception:
		w.err = w.exception(v)
	case []any:
		w.sequence(object.ListKind, v)
	case Tuple:
		w.sequence(object.TupleKind, v)
	case Set:
		w.sequence(object.SetKind, v)
	case map[string]any:
		w.dict(v)
	case Dict:
		w.begin(object.DictKind, len(v))
		for _, p := range v {
			w.value(p.Key)
			w.value(p.Value)
		}
		w.end()
	case Writer:
		w.err = v.WriteValue(w.sink)
	case []string:
		w.begin(object.ListKind, len(v))
		for _, s := range v {
			w.text(s)
		}
		w.end()
	default:
		w.integer(v)
	}
}

// integer writes the integer types.
func (w *valueWriter) integer(v any) {
	switch v := v.(type) {
	case int:
		w.err = w.sink.Int(int64(v))
	case int8:
		w.err = w.sink.Int(int64(v))
	case int16:
		w.err = w.sink.Int(int64(v))
	case int32:
		w.err = w.sink.Int(int64(v))
	case int64:
		w.err = w.sink.Int(v)
	case uint:
		w.unsigned(uint64(v))
	case uint8:
		w.err = w.sink.Int(int64(v))
	case uint16:
		w.err = w.sink.Int(int64(v))
	case uint32:
		w.err = w.sink.Int(int64(v))
	case uint64:
		w.unsigned(v)
	case *big.Int:
		switch {
		case v == nil:
			w.err = w.sink.Null()
		case v.IsInt64():
			w.err = w.sink.Int(v.Int64())
		default:
			w.err = w.sink.BigInt(v.Append(nil, 10))
		}
	default:
		w.err = invalid(object.ReasonType, "values of Go type %T cannot be serialized", v)
	}
}

func (w *valueWriter) unsigned(v uint64) {
	if v <= math.MaxInt64 {
		w.err = w.sink.Int(int64(v))
		return
	}
	w.err = w.sink.BigInt(strconv.AppendUint(nil, v, 10))
}

// clockSeconds returns the clock time in t's location as seconds since the epoch, without a zone.
func clockSeconds(t time.Time) float64 {
	_, offset := t.Zone()
	t = t.Round(time.Microsecond)
	return float64(t.Unix()+int64(offset)) + float64(t.Nanosecond()/1000)/1e6
}
