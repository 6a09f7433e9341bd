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

// Text from outside (names, docs, errors, tracebacks, results) can hold sequences that drive a
// terminal, and newlines that forge lines of a listing. Everything that a command prints goes
// through [printable], which escapes invisible characters. Fields in a line also go through [inline] or [quoted].

// hostile reports whether a character is escaped: control and formatting characters but newline and
// tab, line and paragraph separators, and bytes that are not UTF-8 (size is 1).
func Invisible(r rune, size int) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) ||
		r == utf8.RuneError && size == 1
}

// appendForeign appends text that is safe to print. Its escapes are JSON escapes, so that JSON keeps its meaning.
func appendForeign(b []byte, s string) []byte {
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

// appendEscape appends the JSON escape of a character.
func AppendEscape(b []byte, r rune) []byte {
	if r > 0xffff {
		b = fmt.Appendf(b, `\u%04x`, 0xd800+(r-0x10000)>>10)
		r = 0xdc00 + r&0x3ff
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// foreign makes text with several lines safe to print.
func Escape(s string) string { return string(appendForeign(nil, s)) }

// hanging makes text with several lines safe to print in a listing: further lines are indented.
func Indent(s string) string { return strings.ReplaceAll(Escape(s), "\n", "\n  ") }

// inline makes text safe to print at the end of a line, or in a cell.
func Inline(s string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(Escape(s))
}

// quoted makes text safe to print between other words of a line: it quotes text that could be read as several words or
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

// printable is a writer whose output cannot drive a terminal. It may be used concurrently.
type Writer struct {
	mu   sync.Mutex // guards the fields below
	w    io.Writer
	part []byte // incomplete character at the end of the last write
}

// newPrintable returns a writer to w.
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
	if _, err := p.w.Write(appendForeign(nil, string(text[:whole]))); err != nil {
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
	_, err := p.w.Write(appendForeign(nil, string(p.part)))
	p.part = nil
	return err
}

// bare returns the underlying writer of a printable one.
func Unwrap(w io.Writer) io.Writer {
	if p, ok := w.(*Writer); ok {
		return p.w
	}
	return w
}
