package codec_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// pyRepr is a Sink that writes each value in the form of Python's repr, and frozensets as sets.
type pyRepr struct {
	out   strings.Builder
	kinds []object.Kind
	count []int
}

func (p *pyRepr) put(format string, args ...any) error {
	p.separate()
	fmt.Fprintf(&p.out, format, args...)
	return nil
}

func (p *pyRepr) separate() {
	if len(p.kinds) == 0 {
		if p.out.Len() > 0 {
			p.out.WriteString("; ")
		}
		return
	}
	i := len(p.kinds) - 1
	switch {
	case p.kinds[i] == object.DictKind && p.count[i]%2 == 1:
		p.out.WriteString(": ")
	case p.count[i] > 0:
		p.out.WriteString(", ")
	}
	p.count[i]++
}

func pyFloat(v float64, zero string) string {
	switch {
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	case math.IsNaN(v):
		return "nan"
	}
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += zero
	}
	return s
}

func pyQuote(v []byte, text bool) string {
	q := byte('\'')
	if strings.Contains(string(v), "'") && !strings.Contains(string(v), `"`) {
		q = '"'
	}
	b := []byte{q}
	for len(v) > 0 {
		c, size := rune(v[0]), 1
		if text {
			c, size = utf8.DecodeRune(v)
			if c == utf8.RuneError && size == 1 { // an encoded surrogate
				c, size = rune(v[0]&0xf)<<12|rune(v[1]&0x3f)<<6|rune(v[2]&0x3f), 3
			}
		}
		v = v[size:]
		switch {
		case c == '\\' || c == rune(q):
			b = append(b, '\\', byte(c))
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < 0x7f && c >= 0x20, text && c >= 0x80 && unicode.IsPrint(c):
			b = utf8.AppendRune(b, c)
		case c < 0x100:
			b = fmt.Appendf(b, `\x%02x`, c)
		case c < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = fmt.Appendf(b, `\U%08x`, c)
		}
	}
	return string(append(b, q))
}

func (p *pyRepr) Null() error { return p.put("None") }
func (p *pyRepr) Bool(v bool) error {
	if v {
		return p.put("True")
	}
	return p.put("False")
}
func (p *pyRepr) Int(v int64) error     { return p.put("%d", v) }
func (p *pyRepr) BigInt(v []byte) error { return p.put("%s", v) }
func (p *pyRepr) Float(v float64) error { return p.put("%s", pyFloat(v, ".0")) }
func (p *pyRepr) Complex(v complex128) error {
	im := pyFloat(imag(v), "")
	if real(v) == 0 && !math.Signbit(real(v)) {
		return p.put("%sj", im)
	}
	if im[0] != '-' {
		im = "+" + im
	}
	return p.put("(%s%sj)", pyFloat(real(v), ""), im)
}
func (p *pyRepr) Text(v []byte) error  { return p.put("%s", pyQuote(v, true)) }
func (p *pyRepr) Bytes(v []byte) error { return p.put("b%s", pyQuote(v, false)) }
func (p *pyRepr) DateTime(v float64) error {
	t := time.UnixMicro(int64(math.RoundToEven(v * 1e6))).UTC()
	s := fmt.Sprintf("%d, %d, %d, %d, %d", t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute())
	us := t.Nanosecond() / 1000
	if t.Second() != 0 || us != 0 {
		s += fmt.Sprintf(", %d", t.Second())
	}
	if us != 0 {
		s += fmt.Sprintf(", %d", us)
	}
	return p.put("datetime.datetime(%s)", s)
}
func (p *pyRepr) Date(day int64) error {
	t := time.Date(1, 1, int(day), 0, 0, 0, 0, time.UTC)
	return p.put("datetime.date(%d, %d, %d)", t.Year(), t.Month(), t.Day())
}
func (p *pyRepr) Begin(k object.Kind, n int) error {
	p.separate()
	if k == object.SetKind && n == 0 {
		p.out.WriteString("set(")
	} else {
		p.out.WriteString(map[object.Kind]string{
			object.ListKind:  "[",
			object.TupleKind: "(",
			object.SetKind:   "{",
			object.DictKind:  "{",
		}[k])
	}
	p.kinds, p.count = append(p.kinds, k), append(p.count, 0)
	return nil
}
func (p *pyRepr) End() error {
	i := len(p.kinds) - 1
	k, n := p.kinds[i], p.count[i]
	p.kinds, p.count = p.kinds[:i], p.count[:i]
	switch {
	case k == object.ListKind:
		p.out.WriteString("]")
	case k == object.TupleKind && n == 1:
		p.out.WriteString(",)")
	case k == object.TupleKind, k == object.SetKind && n == 0:
		p.out.WriteString(")")
	default:
		p.out.WriteString("}")
	}
	return nil
}
