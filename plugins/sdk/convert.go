package sdk

import (
	"encoding"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/hearthhost/hearth/codec"
)

// Types of values without a Go equivalent. The other values arrive as bool, int64, *big.Int, float64, complex128,
// string, []byte, []any, map[string]any and time.Time; None arrives as nil. A parameter may have any type that can hold
// its argument: int, []string, map[string]int, a struct for a dict.
type (
	// Tuple is a Python tuple.
	Tuple = codec.Tuple
	// Set is a Python set.
	Set = codec.Set
	// Dict is a dict with keys that are not all texts.
	Dict = codec.Dict
	// Pair is an entry of a [Dict].
	Pair = codec.Pair
	// Date is a date as a day number: 1 is 0001-01-01.
	Date = codec.Date
	// Kwargs are a call's keyword arguments.
	Kwargs map[string]any
)

// convert assigns a value to a variable. It fails with a mismatch if information would be lost.
func convert(to reflect.Value, v any, at *path) error {
	t := to.Type()
	if v == nil {
		switch t.Kind() {
		case reflect.Interface, reflect.Pointer, reflect.Slice, reflect.Map:
			to.SetZero()
			return nil
		default:
			return wrong(t, v, at)
		}
	}
	if rv := reflect.ValueOf(v); rv.Type().AssignableTo(t) {
		to.Set(rv)
		return nil
	}
	if ok, done := convertSpecial(to, v); done {
		if !ok {
			return wrong(t, v, at)
		}
		return nil
	}
	ok := false
	switch t.Kind() {
	case reflect.Bool:
		var b bool
		if b, ok = v.(bool); ok {
			to.SetBool(b)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var n int64
		if n, ok = integer(v); ok && !to.OverflowInt(n) {
			to.SetInt(n)
		} else {
			ok = false
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var n uint64
		if n, ok = unsigned(v); ok && !to.OverflowUint(n) {
			to.SetUint(n)
		} else {
			ok = false
		}
	case reflect.Float32, reflect.Float64:
		var f float64
		if f, ok = float(v); ok {
			to.SetFloat(f)
		}
	case reflect.String:
		var s string
		if s, ok = v.(string); ok {
			to.SetString(s)
		}
	case reflect.Slice, reflect.Array:
		return convertList(to, v, at)
	case reflect.Map:
		return convertMap(to, v, at)
	case reflect.Struct:
		return convertStruct(to, v, at)
	case reflect.Pointer:
		p := reflect.New(t.Elem())
		if err := convert(p.Elem(), v, at); err != nil {
			return err
		}
		to.Set(p)
		return nil
	default:
	}
	if !ok {
		return wrong(t, v, at)
	}
	return nil
}

// convertSpecial assigns to a variable of a type that its kind does not describe. done is false for other types. Some
// serializers send dates and bytes as text.
func convertSpecial(to reflect.Value, v any) (ok, done bool) {
	switch t := to.Type(); {
	case t == bigIntType:
		if n, whole := integer(v); whole {
			to.Set(reflect.ValueOf(big.NewInt(n)))
			return true, true
		}
		return false, true
	case t == bytesType:
		text, isText := v.(string)
		if isText {
			to.SetBytes([]byte(text))
		}
		return isText, true
	case t == timeType:
		text, _ := v.(string)
		when, err := parseTime(text)
		if err == nil {
			to.Set(reflect.ValueOf(when))
		}
		return err == nil, true
	case t == dateType:
		text, _ := v.(string)
		day, err := time.Parse(time.DateOnly, text)
		if err == nil {
			const secondsOfDay, daysTo1970 = 24 * 60 * 60, 719_163
			to.Set(reflect.ValueOf(Date(day.Unix()/secondsOfDay + daysTo1970)))
		}
		return err == nil, true
	case isText(t):
		text, isString := v.(string)
		if !isString {
			return false, true
		}
		read, _ := to.Addr().Interface().(encoding.TextUnmarshaler)
		return read.UnmarshalText([]byte(text)) == nil, true
	}
	return false, false
}

// parseTime reads a time of ISO 8601. Without a zone it is UTC, as in the values of type datetime.
func parseTime(text string) (t time.Time, err error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if t, err = time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return t, err
}

// integer returns the value of an integer, or of a float without a fraction.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case float64:
		const maxExact = 1 << 53
		return int64(n), n == math.Trunc(n) && math.Abs(n) <= maxExact
	}
	return 0, false
}

func unsigned(v any) (uint64, bool) {
	if n, ok := v.(*big.Int); ok { // integers above the range of int64
		return n.Uint64(), n.IsUint64()
	}
	n, ok := integer(v)
	return uint64(n), ok && n >= 0 //nolint:gosec // checked
}

func float(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	case *big.Int:
		f, _ := new(big.Float).SetInt(n).Float64()
		return f, !math.IsInf(f, 0)
	}
	return 0, false
}

// convertList assigns a list, tuple or set.
func convertList(to reflect.Value, v any, at *path) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Slice || rv.Type().Elem() != anyType || // a Dict has pairs
		to.Kind() == reflect.Array && to.Len() != rv.Len() {
		return wrong(to.Type(), v, at)
	}
	if to.Kind() == reflect.Slice {
		to.Set(reflect.MakeSlice(to.Type(), rv.Len(), rv.Len()))
	}
	for i := range rv.Len() {
		if err := convert(to.Index(i), rv.Index(i).Interface(), &path{outer: at, index: i + 1}); err != nil {
			return err
		}
	}
	return nil
}

// convertMap assigns a dict whose keys are texts.
func convertMap(to reflect.Value, v any, at *path) error {
	m, ok := v.(map[string]any)
	t := to.Type()
	if !ok || t.Key().Kind() != reflect.String {
		return wrong(t, v, at)
	}
	to.Set(reflect.MakeMapWithSize(t, len(m)))
	for k, e := range m {
		one := reflect.New(t.Elem()).Elem()
		if err := convert(one, e, &path{outer: at, name: k}); err != nil {
			return err
		}
		to.SetMapIndex(reflect.ValueOf(k).Convert(t.Key()), one)
	}
	return nil
}

// convertStruct assigns a dict to a struct. The dict may have further keys.
func convertStruct(to reflect.Value, v any, at *path) error {
	m, ok := v.(map[string]any)
	if !ok || !isRecord(to.Type()) {
		return wrong(to.Type(), v, at)
	}
	for _, f := range fieldsOf(to.Type()) {
		inner := &path{outer: at, name: f.name}
		e, given := m[f.name]
		switch {
		case e == nil && (f.optional || given && nillable(f.typ)):
		case !given:
			return mismatchf("%s: expected %s, got nothing", inner, typeText(f.typ))
		default:
			if err := convert(to.FieldByIndex(f.index), e, inner); err != nil {
				return err
			}
		}
	}
	return nil
}

func wrong(t reflect.Type, v any, at *path) error {
	return mismatchf("%s: expected %s, got %s", at, clip(typeText(t), 5*maxShown), got(v))
}

// typeText returns the text of a type in messages.
func typeText(t reflect.Type) string { return newTypeTable().of(t, 0).String() }

// got describes a value in a message. A text may be confidential and is not shown.
func got(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "boolean"
	case int64:
		return "number " + strconv.FormatInt(v, 10)
	case float64:
		return "number " + strconv.FormatFloat(v, 'g', 14, 64)
	case *big.Int:
		return "int"
	case complex128:
		return "complex"
	case string:
		return "string"
	case []byte:
		return "bytes"
	case []any:
		return "list"
	case Tuple:
		return "tuple"
	case Set:
		return "set"
	case map[string]any, Dict:
		return "dict"
	case time.Time:
		return "datetime"
	case Date:
		return "date"
	case *codec.Exception:
		return "exception"
	}
	return fmt.Sprintf("%T", v)
}

// plain converts Go values for the wire: structs and maps become dicts, slices and arrays lists. A pointer is replaced
// by its value.
func plain(v any) any { return plainAt(v, 0) }

// maxPlainDepth bounds the nesting of a result. A value that is nested deeper stays as it is, and cannot be sent.
const maxPlainDepth = 100

func plainAt(v any, depth int) any {
	switch v := v.(type) {
	case nil, bool, string, []byte, int64, float64, Tuple, Set, Dict, Date, time.Time, *big.Int, codec.Writer,
		*codec.Exception:
		return v
	case []any:
		return plainList(v, depth)
	}
	rv := reflect.ValueOf(v)
	if depth > maxPlainDepth {
		return v
	}
	if isText(rv.Type()) {
		text, err := v.(encoding.TextMarshaler).MarshalText() //nolint:forcetypeassert // checked by isText
		if err != nil {
			return v
		}
		return string(text)
	}
	switch rv.Kind() {
	case reflect.Slice, reflect.Array:
		if rv.Kind() == reflect.Slice && rv.Type().Elem().Kind() == reflect.Uint8 {
			return rv.Bytes()
		}
		out := make([]any, rv.Len())
		for i := range out {
			out[i] = plainAt(rv.Index(i).Interface(), depth+1)
		}
		return out
	case reflect.Map:
		if rv.Type().Key().Kind() != reflect.String {
			return v
		}
		out := make(map[string]any, rv.Len())
		for it := rv.MapRange(); it.Next(); {
			out[it.Key().String()] = plainAt(it.Value().Interface(), depth+1)
		}
		return out
	case reflect.Pointer:
		if rv.IsNil() {
			return nil
		}
		return plainAt(rv.Elem().Interface(), depth+1)
	case reflect.Struct:
		return plainStruct(rv, depth)
	case reflect.Bool:
		return rv.Bool()
	case reflect.String:
		return rv.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return rv.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return rv.Uint()
	case reflect.Float32, reflect.Float64:
		return rv.Float()
	default:
		return v
	}
}

// plainList copies a list only if an element changes.
func plainList(v []any, depth int) any {
	out, copied := v, false
	for i, e := range v {
		switch e.(type) {
		case nil, bool, string, []byte, int, int64, float64:
			continue
		}
		if !copied {
			out, copied = slices.Clone(v), true
		}
		out[i] = plainAt(e, depth+1)
	}
	return out
}

func plainStruct(rv reflect.Value, depth int) any {
	if !isRecord(rv.Type()) {
		if rv.Type() == bigIntType.Elem() {
			n, _ := rv.Interface().(big.Int)
			return &n
		}
		return rv.Interface()
	}
	out := map[string]any{}
	for _, f := range fieldsOf(rv.Type()) {
		if one := rv.FieldByIndex(f.index); !f.omit || !one.IsZero() {
			out[f.name] = plainAt(one.Interface(), depth+1)
		}
	}
	return out
}
