package codec

import (
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
)

// Builder is an [object.Sink] that builds the Go values of [Append]. Of equal dict keys the first key keeps the last
// value, as in Python, where 1, 1.0 and True are equal. A set keeps the first of equal elements. The zero Builder is
// ready. Not safe for concurrent use.
type Builder struct {
	stack []any // complete values, then the elements of the open containers, the innermost last
	roots int   // number of complete values outside containers
	open  []openContainer
	owned []byte // document that belongs to the values
}

// openContainer is a container without its end. Its elements are on the stack from start; those of a dict are key,
// value, key, value, …
type openContainer struct {
	kind  object.Kind
	start int
	texts bool // all keys are texts
}

// keepStack is the largest stack that Reset keeps, in values.
const keepStack = 1024

// Reset removes all values, so that the Builder can be used again. Values that Value has returned stay valid.
func (b *Builder) Reset() {
	if cap(b.stack) > keepStack {
		b.stack = nil
	}
	clear(b.stack)
	b.stack, b.open = b.stack[:0], b.open[:0]
	b.roots, b.owned = 0, nil
}

// Own lets a text or bytes that fill most of a document refer to it instead of copying it. The document then belongs
// to the value.
func (b *Builder) Own(doc []byte) { b.owned = doc }

// Value returns the last complete value, nil without one.
func (b *Builder) Value() any {
	if b.roots == 0 {
		return nil
	}
	return b.stack[b.roots-1]
}

// Values returns all complete values in order.
func (b *Builder) Values() []any { return b.stack[:b.roots] }

func (b *Builder) add(v any) error {
	if len(b.open) == 0 {
		b.roots++
	} else if c := &b.open[len(b.open)-1]; c.kind == object.DictKind && (len(b.stack)-c.start)%2 == 0 {
		_, text := v.(string)
		c.texts = c.texts && text
	}
	b.stack = append(b.stack, v)
	return nil
}

// Null implements [object.Sink], as the other methods do.
func (b *Builder) Null() error { return b.add(nil) }

// Bool adds a bool.
func (b *Builder) Bool(v bool) error { return b.add(v) }

// Int adds an int64.
func (b *Builder) Int(v int64) error { return b.add(v) }

// BigInt adds a *big.Int, or an int64 if the value fits.
func (b *Builder) BigInt(decimal []byte) error {
	v, ok := new(big.Int).SetString(string(decimal), 10)
	if !ok {
		return object.Errorf(object.CodeInternal, "integer is not in decimal")
	}
	if v.IsInt64() {
		return b.add(v.Int64())
	}
	return b.add(v)
}

// Float adds a float64.
func (b *Builder) Float(v float64) error { return b.add(v) }

// Complex adds a complex128.
func (b *Builder) Complex(v complex128) error { return b.add(v) }

// Text adds a string.
func (b *Builder) Text(v []byte) error {
	if unsafestr.Most(b.owned, v) {
		return b.add(unsafestr.Text(v))
	}
	return b.add(string(v))
}

// Bytes adds a []byte. It is a copy unless it is most of the owned document.
func (b *Builder) Bytes(v []byte) error {
	if unsafestr.Most(b.owned, v) {
		return b.add(v[:len(v):len(v)])
	}
	return b.add(append([]byte{}, v...))
}

// DateTime adds a [time.Time] in UTC, rounded to microseconds.
func (b *Builder) DateTime(v float64) error {
	if !validDateTime(v) {
		return invalid(object.ReasonValue, "date and time is outside years 1 to 9999")
	}
	return b.add(pointInTime(v))
}

// Date adds a [Date].
func (b *Builder) Date(day int64) error { return b.add(Date(day)) }

// Begin opens a container.
func (b *Builder) Begin(k object.Kind, _ int) error {
	b.open = append(b.open, openContainer{kind: k, start: len(b.stack), texts: true})
	return nil
}

// End closes the last open container and adds it.
func (b *Builder) End() error {
	if len(b.open) == 0 {
		return object.Errorf(object.CodeInternal, "end of a container that is not open")
	}
	c := b.open[len(b.open)-1]
	b.open = b.open[:len(b.open)-1]
	items := b.stack[c.start:]
	var v any
	switch c.kind {
	case object.TupleKind:
		v = Tuple(b.take(c.start))
	case object.SetKind:
		v = uniqueSet(items)
	case object.DictKind:
		v = dictOf(items, c.texts)
	default:
		v = b.take(c.start)
	}
	if b.stack != nil {
		clear(items)
		b.stack = b.stack[:c.start]
	}
	return b.add(v)
}

// take returns the elements of a list or tuple. They are a copy of exact size, or the stack itself if it is large and
// has no other values. Then b has no stack any more.
func (b *Builder) take(start int) []any {
	if start == 0 && len(b.stack) > keepStack {
		items := b.stack
		b.stack = nil
		return items
	}
	return append(make([]any, 0, len(b.stack)-start), b.stack[start:]...)
}

// dictOf returns a map, a [Dict] or an exception. texts reports whether all keys are texts.
func dictOf(items []any, texts bool) any {
	if !texts {
		return uniqueDict(items)
	}
	m := make(map[string]any, len(items)/2)
	for i := 0; i+1 < len(items); i += 2 {
		m[items[i].(string)] = items[i+1]
	}
	if e := asException(m); e != nil {
		return e
	}
	return m
}

func uniqueDict(items []any) Dict {
	d := make(Dict, 0, len(items)/2)
	index := make(map[string]int, len(items)/2)
	for i := 0; i+1 < len(items); i += 2 {
		key := string(appendKey(nil, items[i]))
		if j, ok := index[key]; ok && !isNaN(items[i]) {
			d[j].Value = items[i+1]
			continue
		}
		index[key] = len(d)
		d = append(d, Pair{items[i], items[i+1]})
	}
	return d
}

func uniqueSet(items []any) Set {
	s := make(Set, 0, len(items))
	seen := make(map[string]bool, len(items))
	for _, v := range items {
		if key := string(appendKey(nil, v)); !seen[key] || isNaN(v) {
			seen[key] = true
			s = append(s, v)
		}
	}
	return s
}

func isNaN(v any) bool {
	f, ok := v.(float64)
	return ok && math.IsNaN(f)
}

// appendKey appends bytes that are equal for values that are the same key in Python, and different for other values.
func appendKey(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return append(b, "1,"...)
		}
		return append(b, "0,"...)
	case int64:
		return append(strconv.AppendInt(b, v, 10), ',')
	case *big.Int:
		return append(v.Append(b, 10), ',')
	case float64:
		return appendFloatKey(b, v)
	case complex128:
		if imag(v) == 0 {
			return appendFloatKey(b, real(v))
		}
		return appendFloatKey(appendFloatKey(append(b, 'c'), real(v)), imag(v))
	case string:
		return append(append(strconv.AppendInt(append(b, 's'), int64(len(v)), 10), ':'), v...)
	case []byte:
		return append(append(strconv.AppendInt(append(b, 'b'), int64(len(v)), 10), ':'), v...)
	case time.Time:
		return append(strconv.AppendInt(append(b, 't'), v.UnixMicro(), 10), ',')
	case Date:
		return append(strconv.AppendInt(append(b, 'd'), int64(v), 10), ',')
	case Tuple:
		return append(appendKeys(append(b, '('), v), ')')
	case Set:
		return append(appendKeys(append(b, '{'), v), '}')
	}
	return append(b, 'N')
}

func appendKeys(b []byte, items []any) []byte {
	for _, item := range items {
		b = appendKey(b, item)
	}
	return b
}

// appendFloatKey appends a whole float in the form of the equal integer.
func appendFloatKey(b []byte, v float64) []byte {
	if v == math.Trunc(v) && !math.IsInf(v, 0) {
		whole, _ := new(big.Float).SetFloat64(v).Int(nil)
		return append(whole.Append(b, 10), ',')
	}
	return append(strconv.AppendFloat(append(b, 'f'), v, 'g', -1, 64), ',')
}
