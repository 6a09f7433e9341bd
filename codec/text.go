package codec

import (
	"bytes"
	"math"
	"strconv"

	"github.com/hearthhost/hearth/object"
)

// source is a position in a document. The reader of each format is built on it.
type source struct {
	doc      []byte
	pos      int
	lim      Limits
	elements int          // values that the containers may still hold
	scratch  []byte       // buffer for texts with escapes and for bytes, in a text format
	tok      serpentToken // of serpent only
}

func newSource(doc []byte, lim Limits) source {
	lim = lim.withDefaults()
	return source{doc: doc, lim: lim, elements: lim.Elements}
}

// charge counts one element against the limit.
func (r *source) charge() error {
	r.elements--
	if r.elements < 0 {
		return r.tooMany()
	}
	return nil
}

func (r *source) tooMany() error { return tooMany(r.lim.Elements) }

// accept skips word if it comes next.
func (r *source) accept(word string) bool {
	if len(r.doc)-r.pos < len(word) || string(r.doc[r.pos:r.pos+len(word)]) != word {
		return false
	}
	r.pos += len(word)
	return true
}

// digits skips digits and returns their number.
func (r *source) digits() int {
	start := r.pos
	for r.pos < len(r.doc) && isDigit(r.doc[r.pos]) {
		r.pos++
	}
	return r.pos - start
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// emitEmpty feeds a container without elements to the sink.
func emitEmpty(sink object.Sink, k object.Kind) error {
	if err := sink.Begin(k, 0); err != nil {
		return err
	}
	return sink.End()
}

// appendPyFloat appends a finite float in the form of Python's repr: the shortest digits that read back as the same
// double. It uses an exponent below 1e-4 and from 1e16.
func appendPyFloat(b []byte, v float64) []byte {
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(b, v, 'e', -1, 64)
	}
	start := len(b)
	b = strconv.AppendFloat(b, v, 'f', -1, 64)
	if bytes.IndexByte(b[start:], '.') < 0 {
		b = append(b, '.', '0')
	}
	return b
}

// parseFloat converts digits that the caller has checked. A number beyond the range becomes infinite.
func parseFloat(b []byte) float64 {
	v, _ := strconv.ParseFloat(string(b), 64) // the only possible error is the range
	return v
}
