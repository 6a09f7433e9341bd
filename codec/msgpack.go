package codec

import (
	"github.com/hearthhost/hearth/object"
)

// msgpack reads and writes MessagePack as Pyro uses it: text as str, bytes as bin, and the four ext codes below. It
// has no state.
//
// Source: doc/wire.md "Payloads"; vectors in testdata/values-msgpack.jsonl.
type msgpack struct{}

// The ext codes that Pyro peers use.
const (
	extComplex  = 0x30 // two little endian doubles
	extBigInt   = 0x31 // decimal text
	extDateTime = 0x32 // little endian double, POSIX seconds
	extDate     = 0x33 // little endian day number, 8 bytes or (Windows) 4
)

// ID returns [Msgpack].
func (msgpack) ID() ID { return Msgpack }

// Name returns "msgpack".
func (msgpack) Name() string { return "msgpack" }

// Decode feeds the single value of doc to the sink. It rejects bytes behind the value.
func (msgpack) Decode(doc []byte, lim Limits, sink object.Sink) error {
	r := newMsgpackReader(doc, lim)
	if err := r.value(sink, 0, false); err != nil {
		return err
	}
	return r.atEnd()
}

// DecodeCall feeds the third and the fourth element of the call's array to the sink.
func (msgpack) DecodeCall(doc []byte, lim Limits, sink object.Sink) error {
	r := newMsgpackReader(doc, lim)
	if err := r.callHead(); err != nil {
		return err
	}
	for range 2 { // object and method were scanned before
		if err := r.value(noSink{}, 1, false); err != nil {
			return err
		}
	}
	if c := r.peek(); !isMsgpackArray(c) {
		return r.typeError("positional arguments are not an array")
	}
	if err := r.value(sink, 1, false); err != nil {
		return err
	}
	if c := r.peek(); !isMsgpackMap(c) && c != 0xc0 {
		return r.typeError("keyword arguments are neither a map nor nil")
	}
	if err := r.value(sink, 1, false); err != nil {
		return err
	}
	return r.atEnd()
}

// ScanCall reads object, method and the first argument, or the methods of a batch. It does not read the rest. First
// is nil if the third element is not an array.
func (msgpack) ScanCall(doc []byte, batch bool, h *Head) error {
	h.First, h.Batch = nil, h.Batch[:0]
	r := newMsgpackReader(doc, Limits{})
	err := r.callHead()
	if err != nil {
		return err
	}
	h.Object, err = r.text("object id")
	if err != nil {
		return err
	}
	h.Method, err = r.text("method")
	if err != nil {
		return err
	}
	if batch {
		return r.scanBatch(h)
	}
	if r.pos == len(doc) {
		return r.truncated()
	}
	if !isMsgpackArray(r.peek()) {
		return nil
	}
	n, err := r.open(1)
	if err != nil || n == 0 || !isMsgpackText(r.peek()) {
		return err
	}
	h.First, err = r.text("first argument")
	return err
}

// scanBatch reads the methods of a batch: an array of triples (method, positional
// arguments, keyword arguments).
func (r *msgpackReader) scanBatch(h *Head) error {
	if !isMsgpackArray(r.peek()) {
		return r.typeError("batch is not an array of calls")
	}
	n, err := r.open(1)
	if err != nil {
		return err
	}
	for range n {
		if !isMsgpackArray(r.peek()) {
			return r.typeError("call in batch is not an array of three")
		}
		m, err := r.open(2)
		if err != nil {
			return err
		}
		if m != 3 {
			return wrongCount(3, m)
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
	}
	return nil
}

// ScanConnect returns the object id of a CONNECT payload.
func (msgpack) ScanConnect(doc []byte) (string, error) {
	r := newMsgpackReader(doc, Limits{})
	if !isMsgpackMap(r.peek()) {
		return "", r.typeError("handshake is not a map")
	}
	n, err := r.open(0)
	if err != nil {
		return "", err
	}
	var id []byte
	handshake := false
	for range n / 2 {
		var key []byte
		if isMsgpackText(r.peek()) {
			key, err = r.text("key")
		} else {
			err = r.value(noSink{}, 1, true)
		}
		if err != nil {
			return "", err
		}
		if string(key) == "object" && r.peek() != 0xc0 {
			id, err = r.text("object id")
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

// NewEncoder returns an encoder that appends one document to buf.
func (msgpack) NewEncoder(buf []byte) Encoder {
	e := &msgpackEncoder{}
	e.Reset(buf)
	return e
}
