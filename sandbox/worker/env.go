package worker

import (
	"cmp"
	"context"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/link"
)

// Line sends a line of a script to the host's log. It implements [sandbox.Log].
func (w *process) Line(id object.ID, level, msg string) {
	if !w.lines.pass(id, time.Now()) {
		return
	}
	var e link.Encoder
	e.Begin(link.Log, 0)
	e.Text(string(id))
	e.Text(level)
	e.Raw([]byte(msg))
	w.send(&e)
}

// leftOut tells the host how many lines of an object were left out.
func (w *process) leftOut(id object.ID, n uint64) {
	var e link.Encoder
	e.Begin(link.LeftOut, n)
	e.Text(string(id))
	w.send(&e)
}

// lost reports to the host that an instance ended before its time, and its state with it.
func (w *process) lost(id object.ID, why *object.Error) {
	var e link.Encoder
	e.Begin(link.Lost, 0)
	e.Text(string(id))
	text := "the call ended it"
	if why != nil {
		text = cmp.Or(why.Msg, why.Error())
	}
	e.Text(text)
	w.post(e.Frame())
}

// longCall has a script that runs for long preempted, and its memory watched.
func (w *process) longCall() {
	nonblock.Long()
	w.memory.watch(w.busy)
}

// busy reports whether any call is under way.
func (w *process) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.running) > 0
}

// proxyReply is the host's answer to a call from one object to another.
type proxyReply struct {
	r   object.Reply
	err *object.Error
}

// Call asks the host to call another object in the name of r.From. Arguments and result travel in serpent, which
// can express most values of a script. It implements [sandbox.Objects].
func (w *process) Call(ctx context.Context, r *sandbox.ObjectCall) error {
	ser := codec.ByID(codec.Serpent)
	payload, err := proxyPayload(ser, r, link.FrameBytes(int(w.message.Load()))-maxProxyHead)
	if err != nil {
		return err
	}
	answer := make(chan proxyReply, 1)
	w.mu.Lock()
	w.lastAsk++
	id := w.lastAsk
	w.asked[id] = answer
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.asked, id)
		w.mu.Unlock()
	}()

	var e link.Encoder
	e.Begin(link.Proxy, id)
	e.Text(string(r.From))
	e.Bool(r.Exclusive)
	c := object.Call{ID: r.To, Kind: r.Kind, Method: r.Method, Protocol: object.Pyro5, Serializer: uint8(codec.Serpent), Payload: payload}
	if j := jobOf(ctx); j != nil {
		c.Chain, c.Corr = j.call.Chain, j.call.Corr
	}
	e.PutCall(&c)
	w.send(&e)
	select {
	case a := <-answer:
		return feedProxyReply(ser, a, r.Result)
	case <-ctx.Done():
		e.Begin(link.Cancel, id)
		w.send(&e)
		return ctx.Err()
	}
}

// maxProxyHead is room for what a frame says of a call between objects besides its payload.
const maxProxyHead = 64 << 10

// proxyPayload writes the call's payload, of max bytes at most: object, method, arguments,
// keyword arguments.
func proxyPayload(ser codec.Serializer, r *sandbox.ObjectCall, max int) ([]byte, error) {
	enc := ser.NewEncoder(nil)
	if err := enc.Begin(object.TupleKind, 4); err != nil {
		return nil, err
	}
	if err := enc.Text([]byte(r.To)); err != nil {
		return nil, err
	}
	if err := enc.Text([]byte(r.Method)); err != nil {
		return nil, err
	}
	if err := r.Args(&written{Encoder: enc, max: max, args: true}); err != nil {
		return nil, err
	}
	if err := enc.End(); err != nil {
		return nil, err
	}
	doc, err := enc.Document()
	if err == nil && len(doc) > max {
		err = argumentsTooLong(max)
	}
	return doc, err
}

// feedProxyReply gives the script the result, or the exception as an error.
func feedProxyReply(ser codec.Serializer, a proxyReply, to object.Sink) error {
	if a.err != nil {
		ex := pyro.NewException(object.Pyro5, a.err)
		return &sandbox.RemoteException{Class: pyro.BareClass(ex.Class), Args: ex.Args, Message: a.err.Msg}
	}
	if a.r.Stream != 0 {
		return object.Errorf(object.CodeInvalid, "item streams cannot be opened through hearth.proxy")
	}
	if !a.r.Exception {
		return ser.Decode(a.r.Payload, codec.Limits{}, to)
	}
	v, err := codec.Unmarshal(ser, a.r.Payload, codec.Limits{})
	if err != nil {
		return err
	}
	ex, ok := v.(*codec.Exception)
	if !ok {
		return object.Errorf(object.CodeInternal, "an exception that is none")
	}
	re := &sandbox.RemoteException{Class: pyro.BareClass(ex.Class), Args: ex.Args}
	if len(ex.Args) > 0 {
		re.Message, _ = ex.Args[0].(string)
	}
	return re
}

// proxyReply hands the host's answer to the script that waits for it.
func (w *process) proxyReply(id uint64, d *link.Decoder) {
	var a proxyReply
	a.r, _, a.err = d.ReplyFields()
	w.mu.Lock()
	answer := w.asked[id]
	delete(w.asked, id)
	w.mu.Unlock()
	if answer != nil {
		answer <- a
	}
}
