// Package dump reads and writes the keys of a store as lines of JSON, one line for each key:
//
//	{"object":"acme.cart:alice","key":"order/1","value":[12],"version":3,"expires":"2027-01-31T18:00:00.000Z"}
//
// The value is the document of the store, see package value. Version is that of the key in its store; a key that is
// imported gets a new one. A key that never expires has no field expires. The order of fields is free.
package dump

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/value"
)

// timeLayout is RFC 3339 with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// MaxLine bounds the bytes of a line that is read: a value of 4 MiB, the largest that a policy permits, with its key.
const MaxLine = 4<<20 + 8<<10

// Append appends the line of a key.
func Append(b []byte, id object.ID, it *store.Item) []byte {
	b = append(b, `{"object":`...)
	b = appendText(b, string(id))
	b = append(b, `,"key":`...)
	b = appendText(b, it.Key)
	b = append(b, `,"value":`...)
	at := len(b)
	b = append(b, it.Value...)
	for i := at; i < len(b); i++ {
		if b[i] == '\n' || b[i] == '\r' { // white space of another program: texts have escapes instead
			b[i] = ' '
		}
	}
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, it.Version, 10)
	if it.Expires != 0 {
		b = append(b, `,"expires":"`...)
		b = time.UnixMilli(it.Expires).UTC().AppendFormat(b, timeLayout)
		b = append(b, '"')
	}
	return append(b, "}\n"...)
}

func appendText(b []byte, text string) []byte {
	var e value.Encoder
	_ = e.Text([]byte(text)) // ids and keys of a store are UTF-8
	return append(b, e.Document()...)
}

// LineError is the error of a line. It wraps an [object.Error].
type LineError struct {
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// Reader reads lines. Make one with [NewReader].
type Reader struct {
	from   *bufio.Reader
	tenant object.Tenant
	line   int
	long   []byte // a line that is longer than the buffer of from
	item   store.Item
}

// NewReader returns a reader of keys of a tenant.
func NewReader(from io.Reader, tenant object.Tenant) *Reader {
	return &Reader{from: bufio.NewReaderSize(from, 64<<10), tenant: tenant}
}

// Line returns the number of the last line.
func (r *Reader) Line() int { return r.line }

// Next returns the next key, [io.EOF] after the last one. The item is valid until the next call. The error of a
// malformed line is a [*LineError], that of the underlying reader is returned unchanged.
func (r *Reader) Next() (object.ID, *store.Item, error) {
	text, err := r.readLine()
	if err != nil {
		return "", nil, err
	}
	id, err := r.parse(text)
	if err != nil {
		return "", nil, &LineError{r.line, err}
	}
	return id, &r.item, nil
}

// readLine returns the next line without its end.
func (r *Reader) readLine() ([]byte, error) {
	r.long = r.long[:0]
	for {
		part, err := r.from.ReadSlice('\n')
		switch {
		case err == nil && len(r.long) == 0:
			r.line++
			return bytes.TrimSuffix(part, []byte("\n")), nil
		case err == nil || errors.Is(err, bufio.ErrBufferFull):
			if len(r.long)+len(part) > MaxLine {
				r.line++
				return nil, &LineError{r.line, object.Errorf(object.CodeTooLarge,
					"the line is longer than %d bytes", MaxLine)}
			}
			r.long = append(r.long, part...)
			if err == nil {
				r.line++
				return bytes.TrimSuffix(r.long, []byte("\n")), nil
			}
		case errors.Is(err, io.EOF) && len(part)+len(r.long) > 0:
			r.line++
			return nil, &LineError{r.line, malformed("the last line has no end: the file was cut off")}
		default:
			return nil, err
		}
	}
}

func malformed(format string, args ...any) error {
	return object.Errorf(object.CodeInvalid, format, args...)
}

// parse reads a line into r.item and returns its object.
func (r *Reader) parse(text []byte) (id object.ID, err error) {
	fields, err := split(text)
	if err != nil {
		return "", err
	}
	r.item = store.Item{}
	name, err := textOf("object", fields["object"])
	if err != nil {
		return "", err
	}
	if id, err = object.ParseTarget(name); err != nil {
		return "", malformed("%v", err)
	}
	if id.Tenant() != r.tenant {
		return "", malformed("%s is not an object of tenant %s", id, r.tenant)
	}
	if r.item.Key, err = textOf("key", fields["key"]); err != nil {
		return "", err
	}
	if err := store.CheckKey(r.item.Key); err != nil {
		return "", err
	}
	r.item.Value = fields["value"]
	if r.item.Value == nil {
		return "", malformed(`the field "value" is missing`)
	}
	if err := value.Decode(r.item.Value, object.Discard{}); err != nil {
		return "", err
	}
	if raw := fields["version"]; raw != nil {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || n < 0 || n > store.MaxVersion {
			return "", malformed("version is not an integer from 0 to 2^52")
		}
		r.item.Version = n
	}
	if raw := fields["expires"]; raw != nil {
		text, err := textOf("expires", raw)
		if err != nil {
			return "", err
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || at.UnixMilli() <= 0 {
			return "", malformed(`expires is not a time such as "2027-01-31T18:00:00Z"`)
		}
		r.item.Expires = at.UnixMilli()
	}
	return id, nil
}

// split returns the fields of a line as documents. A field that is unknown or occurs twice is an error.
func split(line []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed("the line is not a JSON object")
	}
	fields := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, malformed("malformed JSON: %v", err)
		}
		name, _ := t.(string)
		switch name {
		case "object", "key", "value", "version", "expires":
		default:
			return nil, malformed("unknown field %q; the fields are object, key, value, version and expires", name)
		}
		if _, ok := fields[name]; ok {
			return nil, malformed("the field %q occurs twice", name)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, malformed("malformed JSON in the field %q: %v", name, err)
		}
		fields[name] = raw
	}
	if _, err := d.Token(); err != nil {
		return nil, malformed("malformed JSON: the object has no end")
	}
	if rest := bytes.TrimSpace(line[d.InputOffset():]); len(rest) > 0 {
		return nil, malformed("more data follows the JSON object")
	}
	return fields, nil
}

// text collects a text.
type text struct {
	object.Sink
	value []byte
	set   bool
}

func (t *text) Text(v []byte) error {
	t.value, t.set = append([]byte(nil), v...), true
	return nil
}

// textOf returns the text of a field. It is not changed if it is not UTF-8, as package json would do.
func textOf(name string, raw json.RawMessage) (string, error) {
	if raw == nil {
		return "", malformed("the field %q is missing", name)
	}
	t := &text{Sink: object.Discard{}}
	if err := value.Decode(raw, t); err != nil || raw[0] != '"' || !t.set {
		return "", malformed("the field %q is not a text", name)
	}
	return string(t.value), nil
}
