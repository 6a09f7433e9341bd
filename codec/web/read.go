package web

import (
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// Default limits; see [codec.Limits].
const (
	defaultDepth    = 64
	defaultElements = 1_000_000
	defaultDigits   = 4300
)

// invalid returns an error of the document.
func invalid(reason object.Reason, format string, args ...any) error {
	e := object.Errorf(object.CodeInvalid, format, args...)
	e.Reason = reason
	return e
}

// DecodeCall feeds the positional arguments of a payload, a list, and the keyword arguments, a dict or Null, to the
// sink. Those of an attribute begin with an empty name, which the engine ignores.
func (*Format) DecodeCall(kind object.CallKind, payload []byte, lim codec.Limits, sink object.Sink) error {
	r := newReader(payload, lim)
	switch kind {
	case object.Get, object.Set:
		return r.attribute(kind, sink)
	}
	return r.arguments(sink)
}

// Decode feeds the single value of a document to the sink.
func Decode(doc []byte, lim codec.Limits, sink object.Sink) error {
	r := newReader(doc, lim)
	if err := r.value(sink, 0); err != nil {
		return err
	}
	return r.end()
}

// attribute reads the value of a write, and no value of a read.
func (r *reader) attribute(kind object.CallKind, sink object.Sink) error {
	if err := sink.Begin(object.ListKind, -1); err != nil {
		return err
	}
	if err := sink.Text(nil); err != nil {
		return err
	}
	if kind == object.Set {
		if err := r.value(sink, 1); err != nil {
			return err
		}
	}
	if err := sink.End(); err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	return sink.Null()
}

// arguments reads the body of a call.
func (r *reader) arguments(sink object.Sink) error {
	switch c := r.peek(); {
	case c == '[':
		if err := r.list(sink, 0); err != nil {
			return err
		}
		if err := r.end(); err != nil {
			return err
		}
		return sink.Null()
	case c == '{' || r.pos == len(r.doc):
		if err := sink.Begin(object.ListKind, 0); err != nil {
			return err
		}
		if err := sink.End(); err != nil {
			return err
		}
		if c != '{' {
			return sink.Null()
		}
		if err := r.dict(sink, 0); err != nil {
			return err
		}
		return r.end()
	}
	return invalid(object.ReasonType, "the body of a call is a JSON object of keyword arguments, an array of "+
		"positional arguments, or empty")
}
