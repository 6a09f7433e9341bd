package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// parseArgument parses a value of the command line: JSON, or a bare string without the characters of JSON's syntax.
// Integers are int64 or *big.Int, other numbers float64. {"data": "<base64>", "encoding": "base64"}, the form of bytes
// in results, is []byte.
func parseArgument(s string) (any, error) {
	s = unshield(s)
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

// parseKeywords parses the values of --kw, each name=value.
func parseKeywords(list []string) (map[string]any, error) {
	var kw map[string]any
	for _, s := range list {
		name, value, err := parseAssignment("--kw", s)
		if err != nil {
			return nil, err
		}
		if _, twice := kw[name]; twice {
			return nil, usagef("--kw %s: %s is given twice", s, name)
		}
		if kw == nil {
			kw = map[string]any{}
		}
		kw[name] = value
	}
	return kw, nil
}

// parseAssignment parses name=value, the value of a flag.
func parseAssignment(flag, s string) (string, any, error) {
	name, text, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return "", nil, usagef("%s %s: use name=value", flag, s)
	}
	v, err := parseArgument(text)
	if err != nil {
		return "", nil, usagef("%s %s: %w", flag, name, err)
	}
	return name, v, nil
}

var negative = regexp.MustCompile(`^-[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// shield marks a value that looks like a flag. Arguments of a process cannot contain this byte.
const shield = "\x00"

// shieldNegatives marks negative numbers, which would be parsed as flags, unless they are the value of a flag.
func shieldNegatives(root *cobra.Command, args []string) []string {
	cmd, _, _ := root.Find(args) // root for an unknown command
	out := make([]string, len(args))
	for i, a := range args {
		if negative.MatchString(a) && (i == 0 || !takesValue(cmd, args[i-1])) {
			a = shield + a
		}
		out[i] = a
	}
	return out
}

// takesValue reports whether an argument is a flag of a command whose value is the next argument.
func takesValue(cmd *cobra.Command, arg string) bool {
	name, long := strings.CutPrefix(arg, "--")
	f := cmd.Flag(name)
	if !long && len(arg) == 2 && arg[0] == '-' {
		f = cmd.Flags().ShorthandLookup(arg[1:])
	} else if !long {
		return false
	}
	return f != nil && f.NoOptDefVal == ""
}

// unshield removes the marks of shieldNegatives, also from an error that quotes an argument.
func unshield(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, shield, ""), `\x00-`, "-")
}
