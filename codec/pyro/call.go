package pyro

import (
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
)

// The layout of a call is a sequence of object, method, positional arguments and keyword arguments. In json it is a
// dict of these with the keys below.
//
// Source: doc/wire.md "Calls".

// The keys of a call in json, as bits.
const (
	keyObject = 1 << iota
	keyMethod
	keyParams
	keyKwargs
)

// keyNames are the keys in the order of their bits.
var keyNames = [...]string{"object", "method", "params", "kwargs"}

// callLabels are the starts of the errors for values of a wrong type, in the words of a serializer.
type callLabels struct {
	call, batch, triple, positional, keywords, connect string
}

const (
	objectLabel = "object id"
	methodLabel = "method"
)

var labels = [codec.Msgpack + 1]callLabels{
	codec.Serpent: {
		call:       "call is not a tuple of four",
		batch:      "batch is not a list of calls",
		triple:     "call in batch is not a tuple of three",
		positional: "positional arguments are neither a tuple nor a list",
		keywords:   "keyword arguments are neither a dict nor None",
		connect:    "handshake is not a dict",
	},
	codec.JSON: {
		call:       "call is not a dict",
		batch:      "batch is not a list of calls",
		triple:     "call in batch is not a list of three",
		positional: "positional arguments are not a list",
		keywords:   "keyword arguments are neither a dict nor null",
		connect:    "handshake is not a dict",
	},
	codec.Msgpack: {
		call:       "call is not an array of four",
		batch:      "batch is not an array of calls",
		triple:     "call in batch is not an array of three",
		positional: "positional arguments are not an array",
		keywords:   "keyword arguments are neither a map nor nil",
		connect:    "handshake is not a map",
	},
}

// errMarshal rejects all payloads in marshal.
var errMarshal = invalid(object.ReasonUnsupported, "marshal is not accepted; use serpent, json or msgpack")

// invalid returns an error of a payload.
func invalid(reason object.Reason, format string, args ...any) error {
	e := object.Errorf(object.CodeInvalid, format, args...)
	e.Reason = reason
	return e
}

// DecodeCall feeds two values of a call's payload in s to the sink. The first is the positional arguments: a list or
// tuple, for a batch the list of triples. The second is the keyword arguments: a dict or Null. Object and method are
// skipped.
func DecodeCall(s codec.Serializer, payload []byte, lim codec.Limits, sink object.Sink) error {
	switch s.ID() {
	case codec.MarshalData:
		return errMarshal
	case codec.JSON:
		return decodeKeyed(payload, lim, sink)
	default:
		return decodePositional(s.ID(), payload, lim, sink)
	}
}

// decodePositional decodes the third and the fourth element of the call.
func decodePositional(format codec.ID, payload []byte, lim codec.Limits, sink object.Sink) error {
	var r codec.Reader
	r.Reset(format, payload, lim)
	l := &labels[format]
	call, err := r.OpenSequence(len(keyNames), l.call)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := r.Next(&call)
		if err != nil {
			return err
		}
		if !more {
			return r.End()
		}
		switch 1 << i {
		case keyParams:
			err = r.Sequence(sink, l.positional)
		case keyKwargs:
			err = r.Dict(sink, l.keywords)
		default: // object and method were scanned before
			err = r.Value(codec.Discard)
		}
		if err != nil {
			return err
		}
	}
}

// decodeKeyed decodes the values of "params" and "kwargs", in this order for any order in the payload.
func decodeKeyed(payload []byte, lim codec.Limits, sink object.Sink) error {
	var r codec.Reader
	r.Reset(codec.JSON, payload, lim)
	l := &labels[codec.JSON]
	call, err := r.OpenDict(l.call)
	if err != nil {
		return err
	}
	var keywords codec.Reader // position of keywords that precede the parameters
	seen := 0
	for {
		key, err := callKey(&r, &call, seen)
		if err != nil {
			return err
		}
		if key == 0 {
			break
		}
		seen |= key
		switch {
		case key == keyParams:
			err = r.Sequence(sink, l.positional)
			if err == nil && seen&keyKwargs != 0 {
				err = keywords.Dict(sink, l.keywords)
			}
		case key == keyKwargs && seen&keyParams != 0:
			err = r.Dict(sink, l.keywords)
		case key == keyKwargs:
			keywords = r
			err = r.Dict(codec.Discard, l.keywords)
		default: // object and method were scanned before
			err = r.Value(codec.Discard)
		}
		if err != nil {
			return err
		}
	}
	if err := callComplete(seen, keyObject|keyMethod|keyParams|keyKwargs); err != nil {
		return err
	}
	return r.End()
}

// callKey returns the next key of a call, 0 at the end. It skips the values of other keys. The bits of seen are the
// keys so far. A repeated key is rejected: scan and decoder must never read different values.
func callKey(r *codec.Reader, call *codec.Container, seen int) (key int, err error) {
	for {
		text, more, err := r.Key(call)
		if err != nil || !more {
			return 0, err
		}
		switch string(text) {
		case "object":
			key = keyObject
		case "method":
			key = keyMethod
		case "params":
			key = keyParams
		case "kwargs":
			key = keyKwargs
		default:
			if err := r.Value(codec.Discard); err != nil {
				return 0, err
			}
			continue
		}
		if key&seen != 0 {
			return 0, invalid(object.ReasonValue, "key %q of the call occurs twice", text)
		}
		return key, nil
	}
}

// callComplete returns an error for the first required key that is not in seen.
func callComplete(seen, required int) error {
	for i, name := range keyNames {
		if required&^seen&(1<<i) != 0 {
			return invalid(object.ReasonKey, "'%s'", name)
		}
	}
	return nil
}

// AppendCall appends the payload of a call to buf. Nil keyword arguments are written as an empty dict, or as Null if
// nullKw is set. Attribute calls and batches require Null.
//
// Source: doc/wire.md "Calls".
func AppendCall(
	s codec.Serializer, buf []byte, objectID, method string, params []any, kwargs map[string]any, nullKw bool,
) ([]byte, error) {
	e := s.NewEncoder(buf)
	if err := WriteCall(s, e, objectID, method, params, kwargs, nullKw); err != nil {
		return nil, err
	}
	return e.Document()
}

// WriteCall writes the payload of a call to an encoder of s. See [AppendCall].
func WriteCall(
	s codec.Serializer, e codec.Encoder, objectID, method string, params []any, kwargs map[string]any, nullKw bool,
) error {
	id, keyed := s.ID(), s.ID() == codec.JSON
	kind, paramsKind := object.TupleKind, object.ListKind
	if keyed {
		kind = object.DictKind
	}
	if id == codec.Serpent {
		paramsKind = object.TupleKind
	}
	if err := e.Begin(kind, len(keyNames)); err != nil {
		return err
	}
	for i, key := range keyNames {
		if keyed {
			if err := e.Text(unsafestr.Bytes(key)); err != nil {
				return err
			}
		}
		var err error
		switch 1 << i {
		case keyObject:
			err = e.Text(unsafestr.Bytes(objectID))
		case keyMethod:
			err = e.Text(unsafestr.Bytes(method))
		case keyParams:
			err = writeParams(e, paramsKind, params)
		case keyKwargs:
			if kwargs == nil && nullKw {
				err = e.Null()
			} else {
				err = codec.Write(e, kwargs)
			}
		}
		if err != nil {
			return err
		}
	}
	return e.End()
}

func writeParams(e codec.Encoder, kind object.Kind, params []any) error {
	if err := e.Begin(kind, len(params)); err != nil {
		return err
	}
	for _, p := range params {
		if err := codec.Write(e, p); err != nil {
			return err
		}
	}
	return e.End()
}

// UnmarshalCall returns the arguments of a call. kwargs is nil for Null.
func UnmarshalCall(
	s codec.Serializer, payload []byte, lim codec.Limits,
) (params []any, kwargs map[string]any, err error) {
	var b codec.Builder
	if err := DecodeCall(s, payload, lim, &b); err != nil {
		return nil, nil, err
	}
	return Arguments(b.Values())
}

// Arguments returns the arguments of a call from the two values that [DecodeCall] feeds to a sink.
func Arguments(values []any) (params []any, kwargs map[string]any, err error) {
	switch v := values[0].(type) {
	case []any:
		params = v
	case codec.Tuple:
		params = v
	}
	kwargs, ok := values[1].(map[string]any)
	if !ok && values[1] != nil {
		return nil, nil, invalid(object.ReasonType, "keywords must be strings")
	}
	return params, kwargs, nil
}
