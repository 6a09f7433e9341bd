// Package display formats text, numbers, lists and JSON for the output of commands.
//
// Text from outside, such as names, documentation, errors, tracebacks and results, can contain sequences that drive a
// terminal, and newlines that forge lines of a listing. A command therefore prints to a [Writer], which escapes every
// invisible character with JSON escapes. Text in a line of a listing also needs [Inline] at the end of the line or in a
// cell, [Quote] between other words, and [Indent] if it has several lines.
//
// The package does not depend on commands, flags or types of Hearth.
package display

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Invisible reports whether a character is escaped: control and formatting characters but newline and
// tab, line and paragraph separators, and bytes that are not UTF-8 (size is 1).
func Invisible(r rune, size int) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) ||
		r == utf8.RuneError && size == 1
}

// appendEscaped appends text that is safe to print. Its escapes are JSON escapes, so that JSON keeps its meaning.
func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = fmt.Appendf(b, `\x%02x`, s[i])
		case Invisible(r, size):
			b = AppendEscape(b, r)
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	return b
}

// AppendEscape appends the JSON escape of a character.
func AppendEscape(b []byte, r rune) []byte {
	if r > 0xffff {
		b = fmt.Appendf(b, `\u%04x`, 0xd800+(r-0x10000)>>10)
		r = 0xdc00 + r&0x3ff
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// Escape makes text with several lines safe to print.
func Escape(s string) string { return string(appendEscaped(nil, s)) }

// Indent makes text with several lines safe to print in a listing: further lines are indented.
func Indent(s string) string { return strings.ReplaceAll(Escape(s), "\n", "\n  ") }

// Inline makes text safe to print at the end of a line, or in a cell.
func Inline(s string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(Escape(s))
}

// Quote makes text safe to print between other words of a line: it quotes text that could be read as several words or
// as a quoted word.
func Quote(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || r == '"' || r == '\\' || Invisible(r, utf8.RuneLen(r))
	}) < 0 && utf8.ValidString(s)
	if plain {
		return s
	}
	return strconv.QuoteToGraphic(s)
}

// Writer is an [io.Writer] whose output cannot drive a terminal. It may be used concurrently.
type Writer struct {
	mu   sync.Mutex // guards the fields below
	w    io.Writer
	part []byte // incomplete character at the end of the last write
}

// NewWriter returns a writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write implements [io.Writer].
func (p *Writer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := append(p.part, b...) //nolint:gocritic // part is reset below
	p.part = nil
	whole := len(text)
	for i := max(0, len(text)-utf8.UTFMax+1); i < len(text); i++ {
		if utf8.RuneStart(text[i]) && !utf8.FullRune(text[i:]) {
			whole = i
			break
		}
	}
	if whole < len(text) {
		p.part = append([]byte(nil), text[whole:]...)
	}
	if _, err := p.w.Write(appendEscaped(nil, string(text[:whole]))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close writes an incomplete character. It does not close the underlying writer.
func (p *Writer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.part) == 0 {
		return nil
	}
	_, err := p.w.Write(appendEscaped(nil, string(p.part)))
	p.part = nil
	return err
}

// Unwrap returns the underlying writer of a [Writer], and any other writer unchanged.
func Unwrap(w io.Writer) io.Writer {
	if p, ok := w.(*Writer); ok {
		return p.w
	}
	return w
}
