package value

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// Valid reports whether a document is one value, as an [Encoder] writes it or as another program does.
func Valid(doc []byte) bool { return Decode(doc, object.Discard{}) == nil }

// Decode feeds the value of a document to a sink.
func Decode(doc []byte, to object.Sink) error {
	d := decoder{doc: doc, to: to}
	if err := d.value(0); err != nil {
		return err
	}
	if d.blank(); d.at != len(doc) {
		return d.malformed("more data follows")
	}
	return nil
}

// decoder is a position in a document.
type decoder struct {
	doc  []byte
	at   int
	to   object.Sink
	text []byte // the last text
}

func (d *decoder) malformed(why string) error {
	return object.Errorf(object.CodeInvalid, "stored value: %s at byte %d", why, d.at)
}

// blank skips blanks and returns the next byte, 0 at the end.
func (d *decoder) blank() byte {
	for ; d.at < len(d.doc); d.at++ {
		switch c := d.doc[d.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// accept skips a literal.
func (d *decoder) accept(s string) bool {
	if len(d.doc)-d.at >= len(s) && string(d.doc[d.at:d.at+len(s)]) == s {
		d.at += len(s)
		return true
	}
	return false
}

// value reads one value inside depth containers.
func (d *decoder) value(depth int) error {
	switch c := d.blank(); c {
	case 'n', 't', 'f':
		switch {
		case d.accept("null"):
			return d.to.Null()
		case d.accept("true"):
			return d.to.Bool(true)
		case d.accept("false"):
			return d.to.Bool(false)
		}
	case '"':
		if err := d.string(); err != nil {
			return err
		}
		return d.to.Text(d.text)
	case '[':
		return d.sequence(object.ListKind, depth)
	case '{':
		return d.object(depth)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return d.number()
	}
	return d.malformed("a value is missing")
}

// sequence reads a list, whose elements go into a container of a kind.
func (d *decoder) sequence(k object.Kind, depth int) error {
	if depth >= MaxDepth {
		return d.malformed("too many containers inside each other")
	}
	d.at++
	if err := d.to.Begin(k, -1); err != nil {
		return err
	}
	for first := true; ; first = false {
		switch c := d.blank(); {
		case c == ']' && (first || d.doc[d.at-1] != ','):
			d.at++
			return d.to.End()
		case !first && c != ',':
			return d.malformed("a comma is missing")
		case !first:
			d.at++
		}
		if err := d.value(depth + 1); err != nil {
			return err
		}
	}
}

// object reads a dict, or a value that JSON lacks.
func (d *decoder) object(depth int) error {
	if depth >= MaxDepth {
		return d.malformed("too many containers inside each other")
	}
	d.at++
	if d.blank() == '}' {
		d.at++
		if err := d.to.Begin(object.DictKind, 0); err != nil {
			return err
		}
		return d.to.End()
	}
	if err := d.key(); err != nil {
		return err
	}
	if tag, ok := tagOf(d.text); ok {
		if err := d.tagged(tag, depth); err != nil {
			return err
		}
		if d.blank() != '}' {
			return d.malformed("the object of a tag has one key")
		}
		d.at++
		return nil
	}
	if err := d.to.Begin(object.DictKind, -1); err != nil {
		return err
	}
	for {
		if err := d.sinkKey(); err != nil {
			return err
		}
		if err := d.value(depth + 1); err != nil {
			return err
		}
		switch d.blank() {
		case '}':
			d.at++
			return d.to.End()
		case ',':
			d.at++
		default:
			return d.malformed("a comma is missing")
		}
		if err := d.key(); err != nil {
			return err
		}
	}
}

// key reads a key and the colon.
func (d *decoder) key() error {
	if d.blank() != '"' {
		return d.malformed("a key is missing")
	}
	if err := d.string(); err != nil {
		return err
	}
	if d.blank() != ':' {
		return d.malformed("a colon is missing")
	}
	d.at++
	return nil
}

// tagOf returns the tag that a key is.
func tagOf(key []byte) (string, bool) {
	if len(key) < 2 || key[0] != '$' || key[1] == '$' || strings.Contains(string(key), ":") {
		return "", false
	}
	return string(key[1:]), true
}

// sinkKey writes the last key.
func (d *decoder) sinkKey() error {
	key := d.text
	if len(key) == 0 || key[0] != '$' {
		return d.to.Text(key)
	}
	key = key[1:]
	if len(key) > 0 && key[0] == '$' {
		return d.to.Text(key)
	}
	kind, text, _ := strings.Cut(string(key), ":")
	switch kind {
	case "null":
		return d.to.Null()
	case "bool":
		return d.to.Bool(text == "true")
	}
	return d.scalar(kind, text)
}

// scalar writes a value whose content is a text.
func (d *decoder) scalar(kind, text string) error {
	switch kind {
	case "bytes":
		b, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return d.malformed("malformed base64")
		}
		return d.to.Bytes(b)
	case "int":
		return d.integer(text)
	case "float":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return d.malformed("malformed float")
		}
		return d.to.Float(f)
	}
	return d.malformed("unknown tag")
}

// maxDigits bounds an integer. The time to convert digits grows with their square.
const maxDigits = 4300

func (d *decoder) integer(text string) error {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && (text == "-0" || strconv.FormatInt(n, 10) == text) {
		return d.to.Int(n)
	}
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || len(digits) > maxDigits || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return d.malformed("malformed integer")
	}
	return d.to.BigInt([]byte(text))
}

// tagged reads the value of a tag.
func (d *decoder) tagged(tag string, depth int) error {
	c := d.blank()
	switch {
	case tag == "tuple" && c == '[':
		return d.sequence(object.TupleKind, depth)
	case tag == "set" && c == '[':
		return d.sequence(object.SetKind, depth)
	case tag == "complex" && c == '[':
		var parts collector
		list := decoder{doc: d.doc, at: d.at, to: &parts}
		if err := list.sequence(object.ListKind, MaxDepth-1); err != nil || len(parts.numbers) != 2 {
			return d.malformed("malformed complex number")
		}
		d.at = list.at
		return d.to.Complex(complex(parts.numbers[0], parts.numbers[1]))
	case tag == "datetime" || tag == "date":
		text := d.digits()
		if tag == "date" {
			day, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return d.malformed("malformed date")
			}
			return d.to.Date(day)
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return d.malformed("malformed date")
		}
		return d.to.DateTime(f)
	case c == '"':
		if err := d.string(); err != nil {
			return err
		}
		return d.scalar(tag, string(d.text))
	}
	return d.malformed("unknown tag")
}

// digits reads the bytes of a number.
func (d *decoder) digits() string {
	start := d.at
	for d.at < len(d.doc) && strings.IndexByte("+-.0123456789eE", d.doc[d.at]) >= 0 {
		d.at++
	}
	return string(d.doc[start:d.at])
}

// number reads an integer or a float.
func (d *decoder) number() error {
	start := d.at
	text := d.digits()
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || digits[0] < '0' || digits[0] > '9' || len(digits) > 1 && digits[0] == '0' && digits[1] <= '9' &&
		digits[1] >= '0' {
		d.at = start
		return d.malformed("malformed number")
	}
	if !strings.ContainsAny(digits, ".eE") {
		return d.integer(text)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) || strings.HasSuffix(text, ".") || strings.Contains(text, ".e") {
		d.at = start
		return d.malformed("malformed number")
	}
	return d.to.Float(f)
}

// string reads a text into d.text.
func (d *decoder) string() error {
	d.at++
	d.text = d.text[:0]
	for d.at < len(d.doc) {
		c := d.doc[d.at]
		switch {
		case c == '"':
			d.at++
			return nil
		case c == '\\':
			if err := d.escape(); err != nil {
				return err
			}
		case c < ' ':
			return d.malformed("a control character")
		case c < utf8.RuneSelf:
			d.text = append(d.text, c)
			d.at++
		default:
			r, n := utf8.DecodeRune(d.doc[d.at:])
			if r == utf8.RuneError && n == 1 {
				return d.malformed("a text that is not UTF-8")
			}
			d.text = append(d.text, d.doc[d.at:d.at+n]...)
			d.at += n
		}
	}
	return d.malformed("a text has no end")
}

// escape reads an escape sequence.
func (d *decoder) escape() error {
	if d.at+1 >= len(d.doc) {
		return d.malformed("a text has no end")
	}
	c := d.doc[d.at+1]
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		d.text = append(d.text, "\"\\/\b\f\n\r\t"[i])
		d.at += 2
		return nil
	}
	u, ok := d.unit(d.at)
	if c != 'u' || !ok {
		return d.malformed("malformed escape sequence")
	}
	d.at += 6
	switch low, ok := d.unit(d.at); {
	case u < 0xD800 || u > 0xDFFF:
		d.text = utf8.AppendRune(d.text, rune(u))
	case u < 0xDC00 && ok && low >= 0xDC00 && low <= 0xDFFF:
		d.at += 6
		d.text = utf8.AppendRune(d.text, 0x10000+rune(u-0xD800)<<10+rune(low-0xDC00))
	default: // a lone surrogate
		d.text = append(d.text, 0xE0|byte(u>>12), 0x80|byte(u>>6)&0xBF, 0x80|byte(u)&0xBF)
	}
	return nil
}

// unit returns the code unit of an escape sequence \uXXXX.
func (d *decoder) unit(at int) (uint16, bool) {
	if at+6 > len(d.doc) || d.doc[at] != '\\' || d.doc[at+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(d.doc[at+2:at+6]), 16, 16)
	return uint16(n), err == nil
}

// collector collects numbers.
type collector struct {
	object.Discard
	numbers []float64
}

func (c *collector) Int(v int64) error {
	c.numbers = append(c.numbers, float64(v))
	return nil
}

func (c *collector) Float(v float64) error {
	c.numbers = append(c.numbers, v)
	return nil
}
