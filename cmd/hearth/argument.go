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

// parseArgument reads one value of the command line: JSON, or a bare text that cannot be
// mistaken for JSON gone wrong. Integers are int64 or *big.Int, other numbers float64;
// {"data": "<base64>", "encoding": "base64"}, as results show bytes, is []byte.
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
			err = fmt.Errorf("something follows the value")
		}
	}
	if err == nil {
		return fromJSON(v)
	}
	if word := map[string]string{"True": "true", "False": "false", "None": "null"}[s]; word != "" {
		return nil, fmt.Errorf("%s is Python: write %s, or '%s' for the text", s, word, strconv.Quote(s))
	}
	if strings.ContainsAny(s, `[]{}"`) {
		quoted, _ := json.Marshal(s)
		return nil, fmt.Errorf("%s is not JSON (%w): quote it for the shell, as in '[1, \"two\"]'; for the text itself write '%s'", s, err, quoted)
	}
	return s, nil
}

// fromJSON turns what encoding/json read into the values that travel.
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

// maxDigits bounds an integer of the command line, as serializers bound theirs.
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
		return nil, fmt.Errorf("an integer of %d digits: at most %d are allowed", len(s), maxDigits)
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, fmt.Errorf("%s is no integer", s)
	}
	return n, nil
}

// bytesForm recognises the dict in which bytes are shown.
func bytesForm(v map[string]any) ([]byte, bool) {
	data, ok := v["data"].(string)
	if !ok || len(v) != 2 || v["encoding"] != "base64" {
		return nil, false
	}
	b, err := base64.StdEncoding.DecodeString(data)
	return b, err == nil
}

// parseKeywords reads the values of --kw, each name=value.
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

// parseAssignment reads name=value as the given flag has it.
func parseAssignment(flag, s string) (string, any, error) {
	name, text, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return "", nil, usagef("%s %s: want name=value", flag, s)
	}
	v, err := parseArgument(text)
	if err != nil {
		return "", nil, usagef("%s %s: %w", flag, name, err)
	}
	return name, v, nil
}

var negative = regexp.MustCompile(`^-[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// shield marks an argument that only looks like a flag. No argument of a process can
// hold this byte otherwise.
const shield = "\x00"

// shieldNegatives marks the negative numbers, which would be taken for flags, but where
// they are what a flag before them is given.
func shieldNegatives(root *cobra.Command, args []string) []string {
	cmd, _, _ := root.Find(args) // root, if there is no such command
	out := make([]string, len(args))
	for i, a := range args {
		if negative.MatchString(a) && (i == 0 || !wantsValue(cmd, args[i-1])) {
			a = shield + a
		}
		out[i] = a
	}
	return out
}

// wantsValue reports whether an argument is a flag of a command that takes the next
// argument as its value.
func wantsValue(cmd *cobra.Command, arg string) bool {
	name, long := strings.CutPrefix(arg, "--")
	f := cmd.Flag(name)
	if !long && len(arg) == 2 && arg[0] == '-' {
		f = cmd.Flags().ShorthandLookup(arg[1:])
	} else if !long {
		return false
	}
	return f != nil && f.NoOptDefVal == ""
}

// unshield undoes shieldNegatives, also in an error that quotes an argument.
func unshield(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, shield, ""), `\x00-`, "-")
}
