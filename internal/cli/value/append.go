package value

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/object"
)

// Append appends a value as one line of JSON. Integers of any size are exact, floats keep their decimal point,
// tuples and sets are arrays, bytes are {"data", "encoding"}. Complex numbers, times and infinities are strings.
func Append(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendText(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case *big.Int:
		return v.Append(b, 10)
	case float64:
		return appendFloat(b, v)
	case complex128:
		return appendText(b, fmt.Sprint(v))
	case []byte:
		b = appendText(append(b, `{"data":`...), base64.StdEncoding.EncodeToString(v))
		return appendText(append(b, `,"encoding":`...), "base64", '}')
	case time.Time:
		return appendText(b, timeText(v))
	case codec.Date:
		return appendText(b, time.Unix((int64(v)-unixDay)*secondsPerDay, 0).UTC().Format(time.DateOnly))
	case *codec.Exception:
		return appendException(b, v)
	case codec.Dict:
		return appendDict(b, v)
	case map[string]any:
		return appendMap(b, v)
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice {
		return appendSlice(b, r)
	}
	return appendText(b, fmt.Sprint(v))
}

// appendText appends a JSON string and then raw bytes. Lone surrogates, which Python strings may contain and which
// are encoded as three bytes each, are escaped.
func appendText(b []byte, s string, then ...byte) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1 && surrogate(s[i:]) != 0:
			b = fmt.Appendf(b, `\u%04x`, surrogate(s[i:]))
			size = 3
		case r == utf8.RuneError && size == 1:
			b = append(b, `\ufffd`...)
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case display.Invisible(r, size):
			b = display.AppendEscape(b, r)
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	return append(append(b, '"'), then...)
}

// surrogate returns the lone surrogate at the beginning of s, 0 if there is no such character.
func surrogate(s string) rune {
	if len(s) < 3 || s[0] != 0xed || s[1] < 0xa0 || s[1] > 0xbf || s[2]&0xc0 != 0x80 {
		return 0
	}
	return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f)
}

func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 0):
		return appendText(b, strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	}
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return append(b, s...)
}

// unixDay is 1970-01-01 in the days of a [codec.Date].
const (
	unixDay       = 719163
	secondsPerDay = 24 * 60 * 60
)

// timeText formats a time without a zone, which the serializers do not have, and without an empty fraction.
func timeText(t time.Time) string { return t.Format("2006-01-02T15:04:05.999999999") }

// appendSlice formats lists, tuples and sets of any named type.
func appendSlice(b []byte, r reflect.Value) []byte {
	b = append(b, '[')
	for i := range r.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = Append(b, r.Index(i).Interface())
	}
	return append(b, ']')
}

func appendMap(b []byte, m map[string]any) []byte {
	b = append(b, '{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = Append(append(appendText(b, k), ':'), m[k])
	}
	return append(b, '}')
}

// keyText returns a dict's key as a JSON key: a string unchanged, any other value as the string of its JSON.
func keyText(k any) string {
	if s, ok := k.(string); ok {
		return s
	}
	return string(Append(nil, k))
}

// appendException formats an exception value as the serializers encode it.
func appendException(b []byte, e *codec.Exception) []byte {
	b = appendText(append(b, `{"__exception__":true,"__class__":`...), e.Class)
	b = appendSlice(append(b, `,"args":`...), reflect.ValueOf(e.Args))
	b = appendMap(append(b, `,"attributes":`...), e.Attributes)
	return append(b, '}')
}

// ExceptionText formats an exception for people: its bare class, then its arguments.
func ExceptionText(class string, args []any) string {
	class = object.BareClass(class)
	switch len(args) {
	case 0:
		return class
	case 1:
		if s, ok := args[0].(string); ok {
			return class + ": " + s
		}
		return class + ": " + string(Append(nil, args[0]))
	}
	return class + ": " + string(appendSlice(nil, reflect.ValueOf(args)))
}

// Decode stores a value of a reply in the Go value that target points to, by the rules of [json.Unmarshal].
func Decode(v, target any) error {
	if err := json.Unmarshal(Append(nil, v), target); err != nil {
		return fmt.Errorf("the host sent an invalid response: %w", err)
	}
	return nil
}

// appendDict formats a dict in its order.
func appendDict(b []byte, d codec.Dict) []byte {
	b = append(b, '{')
	for i, p := range d {
		if i > 0 {
			b = append(b, ',')
		}
		b = Append(append(appendText(b, keyText(p.Key)), ':'), p.Value)
	}
	return append(b, '}')
}
