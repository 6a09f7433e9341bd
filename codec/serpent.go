package codec

import (
	"github.com/hearthhost/hearth/object"
)

// serpent reads and writes Python literals as the serpent library does. It never evaluates input. It has no state.
//
// Two dicts are read as values: {'data': <base64>, 'encoding': 'base64'} as bytes, and {'__class__': 'float',
// 'value': <number>} as a float (nan), in either key order.
//
// Source: doc/wire.md "Payloads"; vectors in testdata/serpent-*.jsonl.
type serpent struct{}

// ID returns [Serpent].
func (serpent) ID() ID { return Serpent }

// Name returns "serpent".
func (serpent) Name() string { return "serpent" }

// Decode feeds the single value of doc to the sink. It rejects data behind the value except comments and blanks.
func (serpent) Decode(doc []byte, lim Limits, sink object.Sink) error {
	r := newSerpentReader(doc, lim)
	if err := r.value(sink, 0, false); err != nil {
		return err
	}
	return r.atEnd()
}

// DecodeCall feeds the third and the fourth element of the call's tuple to the sink.
func (serpent) DecodeCall(doc []byte, lim Limits, sink object.Sink) error {
	r := newSerpentReader(doc, lim)
	end, err := r.openSequence("call is not a tuple of four")
	if err != nil {
		return err
	}
	for i := range 4 {
		if err := r.element(i, 4, end); err != nil {
			return err
		}
		c, err := r.peek()
		if err != nil {
			return err
		}
		switch {
		case i < 2: // object and method were scanned before
			err = r.value(noSink{}, 1, false)
		case i == 2 && c == '(':
			err = r.parenthesis(sink, 1, false, true)
		case i == 2 && c == '[':
			err = r.value(sink, 1, false)
		case i == 2:
			err = r.typeError("positional arguments are neither a tuple nor a list")
		case c == '{':
			err = r.brace(sink, 1, true) // a dict even in the form of bytes
		case c == 'N':
			err = r.value(sink, 1, false)
		default:
			err = r.typeError("keyword arguments are neither a dict nor None")
		}
		if err != nil {
			return err
		}
	}
	if err := r.closeSequence(4, end); err != nil {
		return err
	}
	return r.atEnd()
}

// ScanCall reads object, method and the first argument, or the methods of a batch. It does not read the rest. First
// is nil if the third element is neither a tuple nor a list.
func (serpent) ScanCall(doc []byte, batch bool, h *Head) error {
	h.First, h.Batch = nil, h.Batch[:0]
	r := newSerpentReader(doc, Limits{})
	end, err := r.openSequence("call is not a tuple of four")
	if err != nil {
		return err
	}
	err = r.element(0, 4, end)
	if err != nil {
		return err
	}
	h.Object, err = r.stableText("object id")
	if err != nil {
		return err
	}
	err = r.element(1, 4, end)
	if err != nil {
		return err
	}
	h.Method, err = r.stableText("method")
	if err != nil {
		return err
	}
	err = r.element(2, 4, end)
	if err != nil {
		return err
	}
	if batch {
		return r.scanBatch(h)
	}
	c, err := r.peek()
	if err != nil || c != '(' && c != '[' {
		return err
	}
	r.pos++
	c, err = r.peek()
	if err != nil || c != '\'' && c != '"' {
		return err
	}
	h.First, err = r.stableText("first argument")
	return err
}

// scanBatch reads the methods of a batch: a list of triples (method, positional
// arguments, keyword arguments).
func (r *serpentReader) scanBatch(h *Head) error {
	end, err := r.openSequence("batch is not a list of calls")
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := r.next(i, end)
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
		if err := r.charge(); err != nil {
			return err
		}
		if err := r.scanTriple(h); err != nil {
			return err
		}
	}
}

func (r *serpentReader) scanTriple(h *Head) error {
	end, err := r.openSequence("call in batch is not a tuple of three")
	if err != nil {
		return err
	}
	for i := range 3 {
		if err := r.element(i, 3, end); err != nil {
			return err
		}
		if i > 0 {
			if err := r.value(noSink{}, 3, false); err != nil {
				return err
			}
			continue
		}
		name, err := r.stableText("method in batch")
		if err != nil {
			return err
		}
		if err := h.addCall(name); err != nil {
			return err
		}
	}
	return r.closeSequence(3, end)
}

// ScanConnect returns the object id of a CONNECT payload.
func (serpent) ScanConnect(doc []byte) (string, error) {
	r := newSerpentReader(doc, Limits{})
	c, err := r.peek()
	if err != nil {
		return "", err
	}
	if c != '{' {
		return "", r.typeError("handshake is not a dict")
	}
	r.pos++
	var id []byte
	handshake := false
	for i := 0; ; i++ {
		more, err := r.next(i, '}')
		if err != nil {
			return "", err
		}
		if !more {
			break
		}
		key, err := r.connectKey()
		if err != nil {
			return "", err
		}
		c, err = r.peek()
		if err != nil {
			return "", err
		}
		if string(key) == "object" && c != 'N' {
			id, err = r.stableText("object id")
		} else {
			handshake = handshake || string(key) == "handshake"
			err = r.value(noSink{}, 1, false)
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

// connectKey reads a key and the colon. A key that is not a text is nil.
func (r *serpentReader) connectKey() (key []byte, err error) {
	if err := r.charge(); err != nil {
		return nil, err
	}
	c, err := r.peek()
	if err != nil {
		return nil, err
	}
	if c == '\'' || c == '"' {
		key, err = r.stableText("key")
	} else {
		err = r.value(noSink{}, 1, true)
	}
	if err != nil {
		return nil, err
	}
	return key, r.colon()
}

// NewEncoder returns an encoder that appends one document to buf.
func (serpent) NewEncoder(buf []byte) Encoder {
	e := &serpentEncoder{}
	e.Reset(buf)
	return e
}
