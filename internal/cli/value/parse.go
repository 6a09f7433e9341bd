// Package value converts the values of calls between the command line, Go and JSON.
//
// [Parse] reads an argument, [Append] formats a result as one line of JSON, [ExceptionText] formats an exception for
// people, and [Decode] fills a Go value from a result. JSON here is exact: integers have any size, floats keep their
// decimal point, and every accepted argument is formatted in a form that is accepted as the same value. Invisible
// characters are escaped.
//
// The package does not depend on commands, flags or connections.
package value

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parse parses a value of the command line: JSON, or a bare string without the characters of JSON's syntax.
// Integers are int64 or *big.Int, other numbers float64. {"data": "<base64>", "encoding": "base64"}, the form of bytes
// in results, is []byte.
func Parse(s string) (any, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("%q is not UTF-8: give bytes as '{\"data\": \"<base64>\", \"encoding\": \"base64\"}'", s)
	}
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = fmt.Errorf("unexpected text after the value")
		}
	}
	if err == nil {
		return fromJSON(v)
	}
	if word := map[string]string{"True": "true", "False": "false", "None": "null"}[s]; word != "" {
		return nil, fmt.Errorf("%s is Python; write %s, or '%s' for the string", s, word, strconv.Quote(s))
	}
	if strings.ContainsAny(s, `[]{}"`) {
		quoted, _ := json.Marshal(s)
		return nil, fmt.Errorf("%s is not JSON (%w); quote it for the shell, as in '[1, \"two\"]', "+
			"or write '%s' for the string", s, err, quoted)
	}
	return s, nil
}

// fromJSON converts a decoded JSON value into the values of a call.
func fromJSON(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		return fromNumber(string(v))
	case []any:
		for i := range v {
			var err error
			if v[i], err = fromJSON(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if b, ok := bytesForm(v); ok {
			return b, nil
		}
		for k := range v {
			var err error
			if v[k], err = fromJSON(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// maxDigits is the largest number of digits of an integer, as in the serializers.
const maxDigits = 4300

func fromNumber(s string) (any, error) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is out of a float's range", s)
		}
		return f, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	if len(s) > maxDigits {
		return nil, fmt.Errorf("an integer has %d digits, at most %d are allowed", len(s), maxDigits)
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, fmt.Errorf("%s is not an integer", s)
	}
	return n, nil
}

// bytesForm returns the bytes of a dict in the form of results.
func bytesForm(v map[string]any) ([]byte, bool) {
	data, ok := v["data"].(string)
	if !ok || len(v) != 2 || v["encoding"] != "base64" {
		return nil, false
	}
	b, err := base64.StdEncoding.DecodeString(data)
	return b, err == nil
}
