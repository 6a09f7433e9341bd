package main

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
// through [printable], which escapes what is no visible character. Fields in a line go through
// [inline] or [quoted] as well.

// hostile reports whether a character is escaped: control and formatting characters but newline and
// tab, line and paragraph separators, and bytes that are not UTF-8 (size is 1).
func hostile(r rune, size int) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) ||
		r == utf8.RuneError && size == 1
}

// appendForeign appends text that is safe to show. What it escapes is a JSON escape, so that JSON
// stays what it was.
func appendForeign(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = fmt.Appendf(b, `\x%02x`, s[i])
		case hostile(r, size):
			b = appendEscape(b, r)
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	return b
}

// appendEscape appends a character as a JSON text has it.
func appendEscape(b []byte, r rune) []byte {
	if r > 0xffff {
		b = fmt.Appendf(b, `\u%04x`, 0xd800+(r-0x10000)>>10)
		r = 0xdc00 + r&0x3ff
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// foreign makes text of several lines safe to show.
func foreign(s string) string { return string(appendForeign(nil, s)) }

// hanging makes text of several lines safe to show in a listing: lines after the first are indented.
func hanging(s string) string { return strings.ReplaceAll(foreign(s), "\n", "\n  ") }

// inline makes text safe to show at the end of a line, or in a cell.
func inline(s string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(foreign(s))
}

// quoted makes text safe to show between other words of a line: what could be taken for several words, or
// for a quoted one, is quoted.
func quoted(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || r == '"' || r == '\\' || hostile(r, utf8.RuneLen(r))
	}) < 0 && utf8.ValidString(s)
	if plain {
		return s
	}
	return strconv.QuoteToGraphic(s)
}

// printable is a writer whose output cannot drive a terminal. It may be used concurrently.
type printable struct {
	mu   sync.Mutex // guards what follows
	w    io.Writer
	part []byte // the first bytes of a character whose others are not written yet
}

// Write implements [io.Writer].
func (p *printable) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := append(p.part, b...) //nolint:gocritic // it is taken out of part
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

// Close writes what is left. The writer below stays open.
func (p *printable) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.part) == 0 {
		return nil
	}
	_, err := p.w.Write(appendForeign(nil, string(p.part)))
	p.part = nil
	return err
}

// bare returns the writer below a printable one.
func bare(w io.Writer) io.Writer {
	if p, ok := w.(*printable); ok {
		return p.w
	}
	return w
}
