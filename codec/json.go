package codec

import (
	"github.com/hearthhost/hearth/object"
)

// jsonFormat reads and writes JSON as Python's json module does: NaN, Infinity and -Infinity are words, and integers
// have any size. In addition, bytes are the dict {"data": "<base64>", "encoding": "base64"}, as in serpent. It has no
// state.
//
// Source: doc/wire.md "Payloads"; vectors in testdata/values-json.jsonl.
type jsonFormat struct{}

// ID returns [JSON].
func (jsonFormat) ID() ID { return JSON }

// Name returns "json".
func (jsonFormat) Name() string { return "json" }

// Decode feeds the single value of doc to the sink. It rejects data behind the value.
func (jsonFormat) Decode(doc []byte, lim Limits, sink object.Sink) error {
	r := newJSONReader(doc, lim)
	if err := r.value(sink, 0); err != nil {
		return err
	}
	return r.atEnd()
}

// The keys of a call.
const (
	jsonObject = 1 << iota
	jsonMethod
	jsonParams
	jsonKwargs
)

// jsonCallKey returns the constant for a key of a call, 0 for any other key.
func jsonCallKey(key []byte) int {
	switch string(key) {
	case "object":
		return jsonObject
	case "method":
		return jsonMethod
	case "params":
		return jsonParams
	case "kwargs":
		return jsonKwargs
	}
	return 0
}

// callKey returns the next key of a call, 0 at the end. It skips the values of other keys. The bits of seen are the
// keys so far. A repeated key is rejected: scan and decoder must never read different values.
func (r *jsonReader) callKey(seen int) (key int, err error) {
	for {
		text, more, err := r.key(!r.begun)
		if err != nil || !more {
			return 0, err
		}
		r.begun = true
		key = jsonCallKey(text)
		switch {
		case key&seen != 0:
			return 0, invalid("ValueError", "key %q of the call occurs twice", text)
		case key != 0:
			return key, nil
		}
		if err := r.value(noSink{}, 1); err != nil {
			return 0, err
		}
	}
}

// callComplete returns an error for the first required key that is not in seen.
func callComplete(seen, required int) error {
	for i, name := range [...]string{"object", "method", "params", "kwargs"} {
		if required&^seen&(1<<i) != 0 {
			return invalid("KeyError", "'%s'", name)
		}
	}
	return nil
}

// DecodeCall feeds the values of "params" and "kwargs" to the sink, in this order for any order in the document.
func (jsonFormat) DecodeCall(doc []byte, lim Limits, sink object.Sink) error {
	r := newJSONReader(doc, lim)
	if err := r.open('{', "call is not a dict"); err != nil {
		return err
	}
	seen, early := 0, -1 // early is the offset of keywords that precede the parameters
	for {
		key, err := r.callKey(seen)
		if err != nil {
			return err
		}
		if key == 0 {
			break
		}
		seen |= key
		switch {
		case key == jsonParams:
			err = r.sequence(sink)
			if err == nil && early >= 0 {
				again := newJSONReader(doc, lim)
				again.pos = early
				err = again.keywords(sink)
			}
		case key == jsonKwargs && seen&jsonParams != 0:
			err = r.keywords(sink)
		case key == jsonKwargs:
			early = r.pos
			err = r.keywords(noSink{})
		default:
			err = r.value(noSink{}, 1) // object and method were scanned before
		}
		if err != nil {
			return err
		}
	}
	if err := callComplete(seen, jsonObject|jsonMethod|jsonParams|jsonKwargs); err != nil {
		return err
	}
	return r.atEnd()
}

// sequence reads the positional arguments.
func (r *jsonReader) sequence(sink object.Sink) error {
	if r.peek() != '[' {
		return r.typeError("positional arguments are not a list")
	}
	return r.value(sink, 1)
}

// keywords reads the keyword arguments. They are a dict even if they have the form of bytes.
func (r *jsonReader) keywords(sink object.Sink) error {
	switch r.peek() {
	case 'n':
		return r.value(sink, 1)
	case '{':
		return r.dict(sink, 1)
	}
	return r.typeError("keyword arguments are neither a dict nor null")
}

// ScanCall reads object, method and the first argument, or the methods of a batch. It stops behind the last of their
// keys.
func (jsonFormat) ScanCall(doc []byte, batch bool, h *Head) error {
	h.First, h.Batch = nil, h.Batch[:0]
	const all = jsonObject | jsonMethod | jsonParams
	r := newJSONReader(doc, Limits{})
	if err := r.open('{', "call is not a dict"); err != nil {
		return err
	}
	for seen := 0; seen&all != all; {
		key, err := r.callKey(seen)
		if err != nil {
			return err
		}
		if key == 0 {
			return callComplete(seen, all)
		}
		seen |= key
		switch {
		case key == jsonObject:
			h.Object, err = r.stableText("object id")
		case key == jsonMethod:
			h.Method, err = r.stableText("method")
		case key == jsonParams && batch:
			err = r.scanBatch(h)
		case key == jsonParams:
			err = r.scanParams(h, seen|jsonParams == all)
		default:
			err = r.value(noSink{}, 1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scanParams reads the first argument if it is a text. It skips the other arguments unless last is set: then no
// required key follows.
func (r *jsonReader) scanParams(h *Head, last bool) error {
	start := r.pos
	if r.peek() == '[' {
		start = r.pos
		r.pos++
		if r.peek() == '"' {
			var err error
			h.First, err = r.stableText("first argument")
			if err != nil {
				return err
			}
		}
	}
	if last {
		return nil
	}
	r.pos = start
	return r.value(noSink{}, 1)
}

// scanBatch reads the methods of a batch: a list of triples (method, positional arguments, keyword arguments).
func (r *jsonReader) scanBatch(h *Head) error {
	if r.peek() != '[' {
		return r.typeError("batch is not a list of calls")
	}
	r.pos++
	for i := 0; ; i++ {
		more, err := r.item(i, ']')
		if err != nil || !more {
			return err
		}
		if r.peek() != '[' {
			return r.typeError("call in batch is not a list of three")
		}
		r.pos++
		n := 0
		for ; ; n++ {
			more, err := r.item(n, ']')
			if err != nil {
				return err
			}
			if !more || n == 3 {
				if more {
					n++
				}
				break
			}
			if n == 0 {
				var name []byte
				name, err = r.stableText("method in batch")
				if err != nil {
					return err
				}
				if err := h.addCall(name); err != nil {
					return err
				}
			} else if err := r.value(noSink{}, 3); err != nil {
				return err
			}
		}
		if n != 3 {
			return wrongCount(3, n)
		}
	}
}

// ScanConnect returns the object id of a CONNECT payload.
func (jsonFormat) ScanConnect(doc []byte) (string, error) {
	r := newJSONReader(doc, Limits{})
	if err := r.open('{', "handshake is not a dict"); err != nil {
		return "", err
	}
	var id []byte
	handshake := false
	for first := true; ; first = false {
		key, more, err := r.key(first)
		if err != nil {
			return "", err
		}
		if !more {
			break
		}
		handshake = handshake || string(key) == "handshake"
		if string(key) == "object" && r.peek() != 'n' {
			id, err = r.stableText("object id")
		} else {
			err = r.value(noSink{}, 1)
		}
		if err != nil {
			return "", err
		}
	}
	if err := r.atEnd(); err != nil {
		return "", err
	}
	return checkConnect(id, handshake)
}

// NewEncoder returns an encoder that appends one document to buf.
func (jsonFormat) NewEncoder(buf []byte) Encoder {
	e := &jsonEncoder{}
	e.Reset(buf)
	return e
}
