package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/object"
)

// proxy runs a call from one object to another, authorised as the calling object. alone
// says that the calling object has one instance, which answers nobody else meanwhile.
func (h *Host) proxy(ctx context.Context, from object.ID, alone bool, call *object.Call) (object.Reply, error) {
	call.Caller = object.Caller{Principal: from.Principal(), Tenant: from.Tenant(),
		Peer: object.Peer{Channel: "object", Addr: string(from)}}
	call.Protocol, call.Conn = object.Pyro5, h.callers.number(from, &h.lastConn)
	call.Chain = append(call.Chain, from)
	if len(call.Chain) > maxCallDepth {
		return object.Reply{}, object.Errorf(object.CodeExhausted, "limit exceeded: objects call each other %d deep; not executed", maxCallDepth)
	}
	if call.ID == object.Daemon || call.ID == object.NameServer || call.ID == object.Enroll || call.Kind == object.Batch {
		h.note(call, call.Method, "denied: objects cannot call the host's own", "")
		return object.Reply{}, unknownTo(from, call)
	}
	snap := h.snap.Load()
	g, err := h.authorize(snap, call)
	if errors.Is(err, errUnknown) {
		return object.Reply{}, unknownTo(from, call)
	}
	if err != nil {
		return object.Reply{}, err
	}
	defer h.release(g)
	w, err := h.waits.begin(call, alone)
	if err != nil {
		return object.Reply{}, err
	}
	defer h.waits.end(w)
	call.Deadline = time.Now().Add(callTimeout)
	r, b, err := h.invoke(ctx, snap.backend(call.ID), call)
	if r.Stream != 0 {
		b.CloseStream(r.Stream)
	}
	var e *object.Error
	if errors.Is(err, errUnknown) && errors.As(err, &e) {
		unknown := unknownTo(from, call)
		unknown.Msg += strings.TrimPrefix(e.Msg, errUnknown.Msg) // whether a call that was withdrawn was executed
		err = unknown
	}
	return r, err
}

// unknownTo is errUnknown for a call between objects: it names the object that was called, or the caller of the
// calling object would read that this one is missing. It is the same whether there is such an object or not.
func unknownTo(from object.ID, call *object.Call) *object.Error {
	return &object.Error{Code: object.CodeNotFound, Class: "DaemonError",
		Msg: fmt.Sprintf("unknown object %.255q, called by %s", call.ID, from)}
}

// callers are the connection numbers of objects that call others: each has its own, and so
// sessions of its own, for as long as the host runs. The zero value is empty; it is safe for
// concurrent use.
type callers struct {
	mu sync.Mutex // guards what follows
	of map[object.ID]uint64
}

// number returns an object's, which is the next after last if it has none yet.
func (c *callers) number(id object.ID, last *atomic.Uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.of[id]
	if !ok {
		if c.of == nil {
			c.of = map[object.ID]uint64{}
		}
		n = last.Add(1)
		c.of[id] = n
	}
	return n
}

// waits is who waits for whom among objects with one instance, so that those that would
// wait for each other for ever are told instead. The zero value is empty; it is safe for
// concurrent use.
type waits struct {
	mu sync.Mutex            // guards what follows
	by map[object.ID][]*wait // calls under way, by the objects that they hold
}

// wait is a call from one object to another that is under way.
type wait struct {
	holds []object.ID // objects that answer nobody else until the call returns, each once
	on    object.ID
}

// begin enters a call, whose chain ends with the calling object. It is an error if the
// object that is called waits, over however many others, for one that this call holds.
func (ws *waits) begin(call *object.Call, alone bool) (*wait, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := &wait{on: call.ID}
	for i, id := range call.Chain {
		// Those before the last are held if they were alone when they called.
		held := i == len(call.Chain)-1 && alone || len(ws.by[id]) > 0
		if held && !slices.Contains(w.holds, id) {
			w.holds = append(w.holds, id)
		}
	}
	// A call back into the chain itself is a cycle, which the worker refuses.
	if through, ok := ws.leads(w.on, w.holds, map[object.ID]bool{}); ok && !slices.Contains(w.holds, w.on) {
		return nil, object.Errorf(object.CodeInvalid, "deadlock: %s waits for a call of %s, which would wait for it; not executed", w.on, through)
	}
	if ws.by == nil {
		ws.by = map[object.ID][]*wait{}
	}
	for _, id := range w.holds {
		ws.by[id] = append(ws.by[id], w)
	}
	return w, nil
}

// leads reports whether an object waits for one of those, and for which. It looks at each object once: there may be
// very many ways from one to another.
func (ws *waits) leads(from object.ID, to []object.ID, seen map[object.ID]bool) (object.ID, bool) {
	if seen[from] {
		return "", false
	}
	seen[from] = true
	for _, o := range ws.by[from] {
		if slices.Contains(to, o.on) {
			return o.on, true
		}
		if through, ok := ws.leads(o.on, to, seen); ok {
			return through, true
		}
	}
	return "", false
}

func (ws *waits) end(w *wait) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, id := range w.holds {
		left := slices.DeleteFunc(ws.by[id], func(o *wait) bool { return o == w })
		if ws.by[id] = left; len(left) == 0 {
			delete(ws.by, id)
		}
	}
}
