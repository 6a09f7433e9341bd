package luafuzz

import (
	"fmt"
	"strings"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenNumber
	tokenString
	tokenSymbol // operator, punctuation or keyword
)

type token struct {
	kind tokenKind
	text string // as in the source
}

var keywords = map[string]bool{
	"and": true, "break": true, "do": true, "else": true, "elseif": true, "end": true, "false": true, "for": true,
	"function": true, "if": true, "in": true, "local": true, "nil": true, "not": true, "or": true, "repeat": true,
	"return": true, "then": true, "true": true, "until": true, "while": true,
}

// tokenize splits Lua source into tokens, without comments. The last token has kind tokenEnd.
func tokenize(source string) ([]token, error) {
	var tokens []token
	for {
		source = strings.TrimLeft(source, " \t\r\n")
		if source == "" {
			return append(tokens, token{}), nil
		}
		t, size, err := scan(source)
		if err != nil {
			return nil, err
		}
		if size > 0 && !strings.HasPrefix(source, "--") {
			tokens = append(tokens, t)
		}
		source = source[size:]
	}
}

// scan returns the token or the comment at the start of source, and its length in bytes.
func scan(source string) (token, int, error) {
	c := source[0]
	switch {
	case strings.HasPrefix(source, "--"):
		if n := longBracket(source[2:]); n > 0 {
			return token{}, 2 + n, nil
		}
		if i := strings.IndexByte(source, '\n'); i >= 0 {
			return token{}, i, nil
		}
		return token{}, len(source), nil
	case isNameByte(c) && !isDigit(c):
		n := 1
		for n < len(source) && isNameByte(source[n]) {
			n++
		}
		if keywords[source[:n]] {
			return token{tokenSymbol, source[:n]}, n, nil
		}
		return token{tokenName, source[:n]}, n, nil
	case isDigit(c) || c == '.' && len(source) > 1 && isDigit(source[1]):
		n := numberLength(source)
		return token{tokenNumber, source[:n]}, n, nil
	case c == '"' || c == '\'':
		return scanQuoted(source)
	case c == '[' && longBracket(source) > 0:
		n := longBracket(source)
		return token{tokenString, source[:n]}, n, nil
	}
	for _, symbol := range [...]string{"...", "..", "==", "~=", "<=", ">="} {
		if strings.HasPrefix(source, symbol) {
			return token{tokenSymbol, symbol}, len(symbol), nil
		}
	}
	if strings.IndexByte("+-*/%^#<>=(){}[];:,.", c) >= 0 {
		return token{tokenSymbol, source[:1]}, 1, nil
	}
	return token{}, 0, fmt.Errorf("unexpected character %q", c)
}

func scanQuoted(source string) (token, int, error) {
	for i := 1; i < len(source); i++ {
		switch source[i] {
		case source[0]:
			return token{tokenString, source[:i+1]}, i + 1, nil
		case '\\':
			i++
		}
	}
	return token{}, 0, fmt.Errorf("unfinished string")
}

// longBracket returns the length of the long string at the start of source, 0 if there is not one.
func longBracket(source string) int {
	level := 0
	if source == "" || source[0] != '[' {
		return 0
	}
	for 1+level < len(source) && source[1+level] == '=' {
		level++
	}
	if 1+level >= len(source) || source[1+level] != '[' {
		return 0
	}
	end := "]" + strings.Repeat("=", level) + "]"
	i := strings.Index(source, end)
	if i < 0 {
		return 0
	}
	return i + len(end)
}

// numberLength returns the length of the numeral at the start of source, well formed or not, as PUC's lexer reads it.
func numberLength(source string) int {
	n := 0
	for n < len(source) && (isDigit(source[n]) || source[n] == '.') {
		n++
	}
	if n < len(source) && (source[n] == 'e' || source[n] == 'E') {
		n++
		if n < len(source) && (source[n] == '+' || source[n] == '-') {
			n++
		}
	}
	for n < len(source) && isNameByte(source[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameByte(c byte) bool {
	return c == '_' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
