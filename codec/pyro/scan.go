package pyro

import (
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// Head is the result of [ScanCall]. Its slices alias the scanned payload where the text has no escapes.
type Head struct {
	Object []byte
	Method []byte
	// First is the first positional argument if it is a text, else nil. It is the attribute name of __getattr__ and
	// __setattr__.
	First []byte
	// Batch holds the method of each call of a batch, in order.
	Batch [][]byte
}

// addCall appends the method of one call of a batch.
func (h *Head) addCall(method []byte) error {
	if len(h.Batch) == object.MaxBatch {
		return object.Errorf(object.CodeTooLarge,
			"limit exceeded: a batch of more than %d calls; not executed", object.MaxBatch)
	}
	h.Batch = append(h.Batch, method)
	return nil
}

// ScanCall fills h from the head of a call's payload in s. Keys may be in any order. It reads as little of the payload
// as possible and does not allocate for a call without escapes. It rejects every error that a decoder rejects in the
// scanned bytes.
func ScanCall(s codec.Serializer, payload []byte, batch bool, h *Head) error {
	h.First, h.Batch = nil, h.Batch[:0]
	switch s.ID() {
	case codec.MarshalData:
		return errMarshal
	case codec.JSON:
		return scanKeyed(payload, batch, h)
	default:
		return scanPositional(s.ID(), payload, batch, h)
	}
}

// scanPositional reads object, method and the first argument, or the methods of a batch. It does not read the rest.
// First is nil if the third element is not a sequence.
func scanPositional(format codec.ID, payload []byte, batch bool, h *Head) error {
	var r codec.Reader
	r.Reset(format, payload, codec.Limits{})
	l := &labels[format]
	call, err := r.OpenSequence(4, l.call)
	if err != nil {
		return err
	}
	if _, err := r.Next(&call); err != nil {
		return err
	}
	h.Object, err = r.Text(objectLabel)
	if err != nil {
		return err
	}
	if _, err := r.Next(&call); err != nil {
		return err
	}
	h.Method, err = r.Text(methodLabel)
	if err != nil {
		return err
	}
	if _, err := r.Next(&call); err != nil {
		return err
	}
	if batch {
		return scanBatch(&r, l, h)
	}
	return scanFirst(&r, h)
}

// scanFirst reads the first argument if it is a text.
func scanFirst(r *codec.Reader, h *Head) error {
	token, err := r.Peek()
	if err != nil || token != codec.TokenSequence {
		return err
	}
	arguments, err := r.OpenSequence(-1, "")
	if err != nil {
		return err
	}
	more, err := r.Next(&arguments)
	if err != nil || !more {
		return err
	}
	token, err = r.Peek()
	if err != nil || token != codec.TokenText {
		return err
	}
	h.First, err = r.Text("first argument")
	return err
}

// scanBatch reads the methods of a batch: a list of triples of method, positional arguments and keyword arguments.
func scanBatch(r *codec.Reader, l *callLabels, h *Head) error {
	calls, err := r.OpenSequence(-1, l.batch)
	if err != nil {
		return err
	}
	for {
		more, err := r.Next(&calls)
		if err != nil || !more {
			return err
		}
		if err := scanTriple(r, l, h); err != nil {
			return err
		}
	}
}

func scanTriple(r *codec.Reader, l *callLabels, h *Head) error {
	triple, err := r.OpenSequence(3, l.triple)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := r.Next(&triple)
		if err != nil || !more {
			return err
		}
		if i > 0 {
			if err := r.Value(codec.Discard); err != nil {
				return err
			}
			continue
		}
		method, err := r.Text("method in batch")
		if err != nil {
			return err
		}
		if err := h.addCall(method); err != nil {
			return err
		}
	}
}

// scanKeyed reads object, method and the first argument, or the methods of a batch. It stops behind the last of their
// keys.
func scanKeyed(payload []byte, batch bool, h *Head) error {
	const all = keyObject | keyMethod | keyParams
	var r codec.Reader
	r.Reset(codec.JSON, payload, codec.Limits{})
	l := &labels[codec.JSON]
	call, err := r.OpenDict(l.call)
	if err != nil {
		return err
	}
	for seen := 0; seen&all != all; {
		key, err := callKey(&r, &call, seen)
		if err != nil {
			return err
		}
		if key == 0 {
			return callComplete(seen, all)
		}
		seen |= key
		switch {
		case key == keyObject:
			h.Object, err = r.Text(objectLabel)
		case key == keyMethod:
			h.Method, err = r.Text(methodLabel)
		case key == keyParams && batch:
			err = scanBatch(&r, l, h)
		case key == keyParams && seen&all == all: // no required key follows: the other arguments remain unread
			err = scanFirst(&r, h)
		case key == keyParams:
			head := r
			err = scanFirst(&head, h)
			if err == nil {
				err = r.Value(codec.Discard)
			}
		default:
			err = r.Value(codec.Discard)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Hello is the value that clients send when they connect, unless their program sets another one.
const Hello = "hello"

// ScanConnect returns the object id in the payload of a CONNECT, "" without one, and the part of the payload that is
// the value of "handshake", nil for [Hello]. A payload without this key is a KeyError with the message "'handshake'",
// as in Pyro.
func ScanConnect(s codec.Serializer, payload []byte) (objectID string, handshake []byte, err error) {
	if s.ID() == codec.MarshalData {
		return "", nil, errMarshal
	}
	var r codec.Reader
	r.Reset(s.ID(), payload, codec.Limits{})
	dict, err := r.OpenDict(labels[s.ID()].connect)
	if err != nil {
		return "", nil, err
	}
	var id []byte
	given := false
	for {
		key, more, err := r.Key(&dict)
		if err != nil {
			return "", nil, err
		}
		if !more {
			break
		}
		token, err := r.Peek()
		if err != nil {
			return "", nil, err
		}
		switch {
		case string(key) == "object" && token != codec.TokenNull:
			id, err = r.Text(objectLabel)
		case string(key) == "handshake":
			given = true
			handshake, err = readHandshake(&r, token)
		default:
			err = r.Value(codec.Discard)
		}
		if err != nil {
			return "", nil, err
		}
	}
	if err := r.End(); err != nil {
		return "", nil, err
	}
	if !given {
		return "", nil, invalid(object.ReasonKey, "'handshake'")
	}
	return string(id), handshake, nil
}

// readHandshake reads the value of "handshake". It returns nil for [Hello].
func readHandshake(r *codec.Reader, token codec.Token) ([]byte, error) {
	if token == codec.TokenText {
		again := *r
		if text, err := again.Text("handshake"); err == nil && string(text) == Hello {
			*r = again
			return nil, nil
		}
	}
	return r.Skip()
}
