// Package web reads and writes the payloads of HTTP calls: JSON in UTF-8, as RFC 8259 defines it.
//
// The payload of a call is the body of its request. An object holds keyword arguments, an array positional arguments,
// and an empty body no arguments. The payload that sets an attribute is its value. A reply is one value.
//
// Reading is strict, so that no two programs can read a document differently: a repeated key, NaN, a number outside the
// range of a float, a lone surrogate and invalid UTF-8 are errors. Integers have any size and are exact in both
// directions. Bytes are {"data": "<base64>", "encoding": "base64"} in both directions.
//
// Source: doc/http.md "Values".
package web

import (
	"math"
	"strings"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// JSON is the format of HTTP calls.
const JSON object.Format = "http/json"

// Format reads and writes payloads of HTTP calls. The zero value is ready; it is immutable.
type Format struct{}

var format Format

// Lookup returns the format with a name, nil for a name of another gateway.
func Lookup(name object.Format) *Format {
	if name == JSON {
		return &format
	}
	return nil
}

// ID returns the serializer of the replies.
func (*Format) ID() codec.ID { return codec.WebJSON }

// NewEncoder returns an encoder that appends one document to buf. It rejects NaN and infinities.
func (*Format) NewEncoder(buf []byte) codec.Encoder {
	return &encoder{Encoder: codec.ByID(codec.JSON).NewEncoder(buf)}
}

// encoder writes JSON that every reader of JSON accepts.
type encoder struct{ codec.Encoder }

// Float implements [object.Sink].
func (e *encoder) Float(v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return invalid(object.ReasonType, "json: %v cannot be written", v)
	}
	return e.Encoder.Float(v)
}

// peers has the classes of values that are the same for all clients.
var peers = pyro.FormatOf(wire.Pyro5, codec.ByID(codec.JSON))

// Exception returns the name of an exception class in a reply: that of the script, without Python's module "builtins".
// A class is a text for HTTP clients, so they have every class.
func (*Format) Exception(name string) (qualified string, ok bool) {
	return strings.TrimPrefix(name, "builtins."), name != ""
}

// Class returns the name of a class of dicts.
func (*Format) Class(name string) (translated string, known bool) { return peers.Class(name) }

// State returns nil: the state of a dict remains unchanged.
func (*Format) State(string, int) []int { return nil }

// ErrorClass returns the class of the exception for an error, "" for none.
func (*Format) ErrorClass(e *object.Error) string { return pyro.ErrorClass(e) }

// BatchWrapper returns "": an HTTP request is one call.
func (*Format) BatchWrapper() string { return "" }
