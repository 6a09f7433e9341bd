package sdk

import (
	"fmt"
	"math/big"
	"reflect"
	"time"

	"github.com/hearthhost/hearth/codec"
)

// Types of values without a Go equivalent. The other values arrive as bool, int64, *big.Int, float64, complex128,
// string, []byte, []any, map[string]any and time.Time; None arrives as nil. A parameter may have any type that can hold
// its argument: int, []string, map[string]int.
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

// convert returns v as a value of type t. It fails if information would be lost.
func convert(v any, t reflect.Type) (reflect.Value, error) {
	if v == nil {
		switch t.Kind() {
		case reflect.Interface, reflect.Pointer, reflect.Slice, reflect.Map:
			return reflect.Zero(t), nil
		default:
			return reflect.Value{}, fmt.Errorf("%s expected, got None", nameOf(t))
		}
	}
	rv := reflect.ValueOf(v)
	if rv.Type().AssignableTo(t) {
		return rv, nil
	}
	out := reflect.New(t).Elem()
	wrong := fmt.Errorf("%s expected, got %s", nameOf(t), nameOf(rv.Type()))
	// A float is not converted to an integer, because it could lose its fraction.
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := v.(int64)
		if !ok || out.OverflowInt(n) {
			return out, wrong
		}
		out.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, ok := v.(int64)
		// Integers above the range of int64 arrive as *big.Int.
		if b, big := v.(*big.Int); big && b.IsUint64() && !out.OverflowUint(b.Uint64()) {
			out.SetUint(b.Uint64())
			break
		}
		if !ok || n < 0 || out.OverflowUint(uint64(n)) {
			return out, wrong
		}
		out.SetUint(uint64(n))
	case reflect.Float32, reflect.Float64:
		switch n := v.(type) {
		case int64:
			out.SetFloat(float64(n))
		case float64:
			out.SetFloat(n)
		default:
			return out, wrong
		}
	case reflect.String:
		s, ok := v.(string)
		if !ok {
			return out, wrong
		}
		out.SetString(s)
	case reflect.Slice:
		if rv.Kind() != reflect.Slice || rv.Type().Elem().Kind() != reflect.Interface {
			return out, wrong
		}
		out.Set(reflect.MakeSlice(t, rv.Len(), rv.Len()))
		for i := range rv.Len() {
			e, err := convert(rv.Index(i).Interface(), t.Elem())
			if err != nil {
				return out, err
			}
			out.Index(i).Set(e)
		}
	case reflect.Map:
		m, ok := v.(map[string]any)
		if !ok || t.Key().Kind() != reflect.String {
			return out, wrong
		}
		out.Set(reflect.MakeMapWithSize(t, len(m)))
		for k, e := range m {
			c, err := convert(e, t.Elem())
			if err != nil {
				return out, err
			}
			out.SetMapIndex(reflect.ValueOf(k).Convert(t.Key()), c)
		}
	case reflect.Pointer: // a *big.Int parameter accepts small integers too
		if n, ok := v.(int64); ok && t == reflect.TypeFor[*big.Int]() {
			return reflect.ValueOf(big.NewInt(n)), nil
		}
		return out, wrong
	default:
		return out, wrong
	}
	return out, nil
}

// nameOf returns the Python name of a type.
func nameOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[[]byte]():
		return "bytes"
	case reflect.TypeFor[Tuple]():
		return "tuple"
	case reflect.TypeFor[Set]():
		return "set"
	case reflect.TypeFor[time.Time]():
		return "datetime"
	case reflect.TypeFor[*big.Int]():
		return "int"
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "int"
	case reflect.Float32, reflect.Float64:
		return "float"
	case reflect.String:
		return "str"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "dict"
	default:
		return t.String()
	}
}

// plain converts Go values for the wire: slices and maps of any element type become lists and dicts.
func plain(v any) any {
	switch v := v.(type) {
	case nil, bool, string, []byte, int64, float64, []any, map[string]any, Tuple, Set, Dict, Date, time.Time, *big.Int:
		return v
	}
	rv := reflect.ValueOf(v)
	switch rv.Kind() {
	case reflect.Slice:
		out := make([]any, rv.Len())
		for i := range out {
			out[i] = plain(rv.Index(i).Interface())
		}
		return out
	case reflect.Map:
		if rv.Type().Key().Kind() != reflect.String {
			return v
		}
		out := make(map[string]any, rv.Len())
		for it := rv.MapRange(); it.Next(); {
			out[it.Key().String()] = plain(it.Value().Interface())
		}
		return out
	default:
		return v
	}
}
