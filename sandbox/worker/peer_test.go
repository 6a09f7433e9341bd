package worker

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/link/linktest"
	"github.com/hearthhost/hearth/wire"
)

// peer is the host of a worker that serves in the same bubble of testing/synctest. It sends frames and keeps the
// frames of the worker until a test takes them.
type peer struct {
	t      fataler
	w      *process
	out    *link.Writer
	end    *linktest.End
	served chan error
	read   chan struct{} // closed when the link has ended
	last   uint64        // last request

	mu     sync.Mutex // guards frames
	frames []frame
}

// fataler is a [testing.T] or a rapid.T.
type fataler interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// frame is one frame of the worker.
type frame struct {
	typ  link.Type
	id   uint64
	body []byte
}

// newPeer starts a worker whose instances share a budget derived from bytes; 0 is no limit.
func newPeer(t fataler, bytes int64) *peer {
	t.Helper()
	ours, theirs, err := linktest.Pair()
	if err != nil {
		t.Fatalf("%v", err)
	}
	p := &peer{
		t:      t,
		w:      newProcess(theirs, bytes),
		out:    link.NewWriter(ours),
		end:    ours,
		served: make(chan error, 1),
		read:   make(chan struct{}),
	}
	p.start()
	return p
}

// start serves and reads until the link ends.
func (p *peer) start() {
	p.t.Helper()
	go func() { p.served <- p.w.serve(false) }()
	in, err := link.NewReader(p.end, p.keep)
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	go func() { // ends with the link
		defer close(p.read)
		_ = in.Run(false)
	}()
}

// keep is the handler of the worker's frames.
func (p *peer) keep(typ link.Type, id uint64, body []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(p.frames, frame{typ, id, bytes.Clone(body)})
	return nil
}

// close ends the link and waits until the worker has returned.
func (p *peer) close() error {
	p.end.Close()
	<-p.read
	return <-p.served
}

// take waits until the worker is at rest and returns its new frames.
func (p *peer) take() []frame {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.frames
	p.frames = nil
	return all
}

// send sends one frame.
func (p *peer) send(typ link.Type, id uint64, put func(e *link.Encoder)) {
	p.t.Helper()
	var e link.Encoder
	e.Begin(typ, id)
	if put != nil {
		put(&e)
	}
	if err := p.out.Write(e.Frame()); err != nil {
		p.t.Errorf("sending a frame of type %d: %v", typ, err)
	}
}

// sendUint sends a frame whose only field is a number.
func (p *peer) sendUint(typ link.Type, n uint64) {
	p.send(typ, 0, func(e *link.Encoder) { e.Uint(n) })
}

// sendText sends a frame whose only field is a text.
func (p *peer) sendText(typ link.Type, id uint64, s string) {
	p.send(typ, id, func(e *link.Encoder) { e.Text(s) })
}

// request returns a new request id.
func (p *peer) request() uint64 {
	p.last++
	return p.last
}

// load sends a version and its modules. The worker describes it if request is not 0.
func (p *peer) load(request uint64, v *link.Version, libs map[string]string) {
	v.Limits = v.Limits.WithDefaults()
	p.send(link.Libs, 0, func(e *link.Encoder) {
		e.Uint(v.Libs)
		e.Uint(uint64(len(libs)))
		for name, source := range libs {
			e.Text(name)
			e.Text(source)
		}
	})
	p.send(link.Load, request, func(e *link.Encoder) { e.PutVersion(v) })
}

// serve loads a script as object id and puts it into use.
func (p *peer) serve(id object.ID, source string, limits object.Limits) {
	n := p.request()
	p.load(0, &link.Version{Number: n, Libs: n, ID: id, File: "x.lua", Limits: limits, Source: []byte(source)}, nil)
	p.sendUint(link.Use, n)
}

// newCall returns a call of a method with positional arguments in a serializer.
func newCall(id object.ID, method object.Method, format codec.ID, args ...any) *object.Call {
	return &object.Call{
		ID:      id,
		Kind:    object.Invoke,
		Method:  method,
		Conn:    1,
		Format:  pyro.FormatOf(wire.Pyro5, codec.ByID(format)).Format(),
		Payload: payload(format, id, string(method), args),
	}
}

// payload encodes the arguments of a call.
func payload(format codec.ID, id object.ID, method string, args []any) []byte {
	b, err := pyro.AppendCall(codec.ByID(format), nil, string(id), method, args, map[string]any{}, false)
	if err != nil {
		panic(err)
	}
	return b
}

// call sends a call and returns its request.
func (p *peer) call(c *object.Call) uint64 {
	n := p.request()
	p.send(link.Call, n, func(e *link.Encoder) { e.PutCall(c) })
	return n
}

// result is a decoded Reply or Described frame.
type result struct {
	value     any // decoded payload of a Reply
	text      string
	exception bool
	more      bool
	stream    uint64
	steps     uint64
	err       *object.Error
}

// hostCallHead returns the head of a HostCall frame, zero for any other frame.
func (f frame) hostCallHead() link.HostCallHead {
	if f.typ != link.HostCall {
		return link.HostCallHead{}
	}
	d := link.Decoder{B: f.body}
	return d.HostCallFields()
}

// decodeReply decodes a frame whose payload is in a serializer.
func decodeReply(t fataler, f frame, format codec.ID) result {
	t.Helper()
	d := link.Decoder{B: f.body}
	reply, more, failed := d.ReplyFields()
	if d.Err != nil {
		t.Fatalf("reply to request %d: %v", f.id, d.Err)
	}
	r := result{exception: reply.Exception, more: more, stream: reply.Stream, steps: reply.Steps, err: failed}
	if f.typ != link.Reply || len(reply.Payload) == 0 {
		r.text = string(reply.Payload)
		return r
	}
	v, err := codec.Unmarshal(codec.ByID(format), reply.Payload, codec.Limits{})
	if err != nil {
		t.Fatalf("reply to request %d: %q: %v", f.id, reply.Payload, err)
	}
	if e, ok := v.(*codec.Exception); ok {
		v = fmt.Sprint(e.Class, e.Args)
	}
	r.value = v
	r.text = fmt.Sprint(v)
	return r
}

// reply takes the frames of the worker and returns the one Reply to a request and all other frames.
func (p *peer) reply(request uint64, format codec.ID) (result, []frame) {
	p.t.Helper()
	all := p.take()
	i := slices.IndexFunc(all, func(f frame) bool {
		return f.id == request && (f.typ == link.Reply || f.typ == link.Described)
	})
	if i < 0 {
		p.t.Fatalf("request %d is not answered: %v", request, all)
	}
	r := decodeReply(p.t, all[i], format)
	rest := slices.Delete(all, i, i+1)
	if slices.ContainsFunc(rest, func(f frame) bool { return f.id == request && f.typ == link.Reply }) {
		p.t.Fatalf("request %d is answered twice: %v", request, all)
	}
	return r, rest
}

// invoke calls a method and returns its result.
func (p *peer) invoke(id object.ID, method object.Method, args ...any) result {
	p.t.Helper()
	r, _ := p.reply(p.call(newCall(id, method, codec.Serpent, args...)), codec.Serpent)
	return r
}

// withPeer runs a test against a worker in a bubble, and checks that the worker returns when the link ends.
func withPeer(t *testing.T, bytes int64, f func(t *testing.T, p *peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, bytes)
		defer func() {
			if err := p.close(); err != nil {
				t.Errorf("the worker ended with %v", err)
			}
		}()
		f(t, p)
	})
}
