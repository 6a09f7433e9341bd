package codec

import (
	"github.com/hearthhost/hearth/object"
)

// marshal reads and writes the plain data of Python's marshal format: no code objects,
// no Ellipsis, no StopIteration. Bytes after the value are ignored, as Python does. It
// holds no state.
//
// Source: doc/wire.md "Payloads"; vectors in testdata/values-marshal.jsonl and
// testdata/marshal-parse.jsonl.
type marshal struct{}

// ID returns [MarshalData].
func (marshal) ID() ID { return MarshalData }

// Name returns "marshal".
func (marshal) Name() string { return "marshal" }

// WireID returns 3 in Pyro4 messages and 2 in Pyro5 messages.
func (marshal) WireID(p object.Protocol) uint16 {
	if p == object.Pyro4 {
		return 3
	}
	return 2
}

// Decode feeds the first value of doc to the sink.
func (marshal) Decode(doc []byte, lim Limits, to object.Sink) error {
	r := newMarshalReader(doc, lim)
	return r.value(to, 0, false)
}

// DecodeCall feeds the third and the fourth element of the call's tuple to the sink.
func (marshal) DecodeCall(doc []byte, lim Limits, to object.Sink) error {
	r := newMarshalReader(doc, lim)
	if _, err := r.openTuple("call", 4, 0); err != nil {
		return err
	}
	for range 2 { // object and method count for nothing here
		if err := r.value(noSink{}, 1, false); err != nil {
			return err
		}
	}
	c, err := r.peek()
	if err != nil {
		return err
	}
	if !isMarshalSequence(c) {
		return r.typeError("positional arguments are neither a list nor a tuple")
	}
	if err := r.value(to, 1, false); err != nil {
		return err
	}
	if c, err = r.peek(); err != nil {
		return err
	}
	if c != '{' && c != 'N' {
		return r.typeError("keyword arguments are neither a dict nor None")
	}
	return r.value(to, 1, false)
}

// ScanCall reads object, method and the first argument, or the methods of a batch,
// and nothing behind them. A third element that is neither list nor tuple, as blobs
// may have it, yields no First.
func (marshal) ScanCall(doc []byte, batch bool, h *Head) error {
	h.First, h.Batch = nil, h.Batch[:0]
	r := newMarshalReader(doc, Limits{})
	_, err := r.openTuple("call", 4, 0)
	if err != nil {
		return err
	}
	if h.Object, err = r.text("object id"); err != nil {
		return err
	}
	if h.Method, err = r.text("method"); err != nil {
		return err
	}
	if batch {
		return r.scanBatch(h)
	}
	c, err := r.peek()
	if err != nil || !isMarshalSequence(c) {
		return err
	}
	n, _, err := r.openSequence("positional arguments", 1)
	if err != nil || n == 0 {
		return err
	}
	if c, err = r.peek(); err != nil || !isMarshalText(c) {
		return err
	}
	h.First, err = r.text("first argument")
	return err
}

// scanBatch reads the methods of a batch: a list of triples (method, positional
// arguments, keyword arguments).
func (r *marshalReader) scanBatch(h *Head) error {
	n, _, err := r.openSequence("batch", 1)
	if err != nil {
		return err
	}
	for range n {
		end, err := r.openTuple("call in batch", 3, 2)
		if err != nil {
			return err
		}
		name, err := r.text("method in batch")
		if err != nil {
			return err
		}
		if err := h.addCall(name); err != nil {
			return err
		}
		for range 2 {
			if err := r.value(noSink{}, 3, false); err != nil {
				return err
			}
		}
		r.close(end)
	}
	return nil
}

// ScanConnect returns the object id of a CONNECT payload.
func (marshal) ScanConnect(doc []byte) (string, error) {
	r := newMarshalReader(doc, Limits{})
	c, err := r.peek()
	if err != nil {
		return "", err
	}
	if c != '{' {
		return "", r.typeError("handshake is not a dict")
	}
	r.begin() // the dict cannot be repeated by what follows, its end need not be noted
	var id []byte
	handshake := false
	for {
		c, err := r.peek()
		if err != nil {
			return "", err
		}
		if c == '0' {
			break
		}
		if err := r.charge(2); err != nil {
			return "", err
		}
		var key []byte
		if isMarshalText(c) {
			key, err = r.text("key")
		} else {
			err = r.value(noSink{}, 1, true)
		}
		if err != nil {
			return "", err
		}
		if c, err = r.peek(); err != nil {
			return "", err
		}
		if string(key) == "object" && c != 'N' {
			id, err = r.text("object id")
		} else {
			handshake = handshake || string(key) == "handshake"
			err = r.value(noSink{}, 1, false)
		}
		if err != nil {
			return "", err
		}
	}
	return connectID(id, handshake)
}

// NewEncoder returns an encoder that appends one document to buf.
func (marshal) NewEncoder(buf []byte) Encoder {
	e := &marshalEncoder{}
	e.Reset(buf)
	return e
}
