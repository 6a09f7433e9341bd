package sandbox

import (
	"bytes"
	"fmt"
)

// checkNesting refuses source whose blocks, brackets and runs of unary operators nest
// deeper than maxNesting, before the parser sees it: the compiler recurses, and a Go
// stack that overflows takes the whole process along. It reads tokens only as far as
// that needs, and whatever is not Lua is left to the parser. It misses long chains of
// binary operators and of elseif, which the bound on the source's size is there for.
func checkNesting(file string, src []byte) error {
	depth, line := 0, 1
	unary := 0 // operators in a row
	for i := 0; i < len(src); {
		c := src[i]
		was := unary
		unary = 0
		switch {
		case c == '\n':
			line++
			i++
			unary = was
		case c == ' ' || c == '\t' || c == '\r':
			i++
			unary = was
		case c == '-' && i+1 < len(src) && src[i+1] == '-':
			i = skipComment(src, i+2, &line)
			unary = was
		case c == '"' || c == '\'':
			i = skipQuoted(src, i, &line)
		case c == '[':
			if end, ok := skipLong(src, i, &line); ok {
				i = end
				continue
			}
			depth++
			i++
		case c == '(' || c == '{':
			depth++
			i++
		case c == ')' || c == '}' || c == ']':
			depth--
			i++
		case isWordByte(c):
			end := i + 1
			for end < len(src) && isWordByte(src[end]) {
				end++
			}
			if string(src[i:end]) == "not" {
				unary = was + 1
			}
			depth += blockDepth(src[i:end])
			i = end
		case c == '-' || c == '#':
			unary = was + 1
			i++
		default:
			i++
		}
		if depth > maxNesting || unary > maxNesting {
			return fmt.Errorf("%s:%d: nested deeper than %d", file, line, maxNesting)
		}
	}
	return nil
}

// blockDepth is how many blocks a word opens. "for" and "while" bring a "do" that
// counts for them; "elseif" nests in the syntax tree but is closed by one "end" only.
func blockDepth(word []byte) int {
	switch string(word) {
	case "function", "if", "do", "repeat":
		return 1
	case "end", "until":
		return -1
	}
	return 0
}

func isWordByte(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// skipComment returns the position behind a comment whose dashes end at i.
func skipComment(src []byte, i int, line *int) int {
	if i < len(src) && src[i] == '[' {
		if end, ok := skipLong(src, i, line); ok {
			return end
		}
	}
	if n := bytes.IndexByte(src[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(src)
}

// skipQuoted returns the position behind the quoted text that begins at i.
func skipQuoted(src []byte, i int, line *int) int {
	quote := src[i]
	for i++; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
			if i < len(src) && src[i] == '\n' {
				*line++
			}
		case '\n':
			return i // unfinished: the parser will say so
		case quote:
			return i + 1
		}
	}
	return len(src)
}

// skipLong returns the position behind the long bracket that begins at i, and false if
// none does.
func skipLong(src []byte, i int, line *int) (int, bool) {
	level := 0
	j := i + 1
	for j < len(src) && src[j] == '=' {
		level++
		j++
	}
	if j >= len(src) || src[j] != '[' {
		return 0, false
	}
	closing := append(append([]byte{']'}, bytes.Repeat([]byte{'='}, level)...), ']')
	n := bytes.Index(src[j+1:], closing)
	end := len(src)
	if n >= 0 {
		end = j + 1 + n + len(closing)
	}
	*line += bytes.Count(src[i:end], []byte{'\n'})
	return end, true
}
