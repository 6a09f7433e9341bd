package process

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/link"
)

// TestHostCallsEndWithTheirCall ends a call in every possible way. Its host calls are then cancelled, their slots are
// free.
func TestHostCallsEndWithTheirCall(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, p *Process, f *fake, request uint64, leave context.CancelFunc){
		"the client is gone": func(_ *testing.T, _ *Process, _ *fake, _ uint64, leave context.CancelFunc) { leave() },
		"the worker answers": func(t *testing.T, _ *Process, f *fake, request uint64, _ context.CancelFunc) {
			f.reply(t, request)
		},
		"the deadline passes": func(_ *testing.T, p *Process, _ *fake, request uint64, _ context.CancelFunc) {
			overdue(p, request)
		},
		"the worker gives it up": func(t *testing.T, _ *Process, f *fake, _ uint64, _ context.CancelFunc) {
			f.send(t, link.Cancel, 7, nil)
		},
		"the worker's process ends": func(_ *testing.T, p *Process, _ *fake, _ uint64, _ context.CancelFunc) {
			p.Kill(link.ErrStalled)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			running, cancelled := make(chan hostcall.From, 1), make(chan struct{})
			service := blocking{running, cancelled}
			requests := make(chan uint64, 1)
			tenant := newTenant(Config{Services: []hostcall.Service{service}}, object.Limits{MaxDuration: time.Hour})
			p, f := startFake(t, tenant, func(f *fake, typ link.Type, id uint64, _ []byte) error {
				if typ == link.Call {
					f.send(t, link.HostCall, 7, func(e *link.Encoder) {
						e.PutHostCall(link.HostCallHead{
							Object:  "acme.x",
							Request: id,
							Service: link.Objects,
							Op:      link.ObjectsCall,
						})
					})
					requests <- id
				}
				return nil
			})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			answered := make(chan error, 1)
			call := &object.Call{
				ID:     "acme.x",
				Kind:   object.Invoke,
				Method: "m",
				Conn:   5,
				Corr:   [16]byte{9},
				Chain:  []object.ID{"acme.first"},
			}
			go func() { _, err := p.Invoke(ctx, call, time.Hour); answered <- err }()
			from := <-running
			if from.Object != "acme.x" || from.Tenant != "acme" ||
				from.Conn != 5 || from.Corr != call.Corr || len(from.Chain) != 1 {
				t.Errorf("the service runs for %+v", from)
			}
			end(t, p, f, <-requests, leave)
			<-cancelled
			if name == "the worker gives it up" {
				leave()
			}
			<-answered
			for p.hostCalls.InFlight() > 0 { // the op ends and its slot is free
				runtime.Gosched()
			}
		})
	}
}

// overdue sweeps a request that has exceeded its time limit.
func overdue(p *Process, request uint64) {
	p.mu.Lock()
	p.pending[request].begun = time.Now().Add(-2 * time.Hour)
	p.mu.Unlock()
	p.sweep(time.Now())
}

// blocking is a service whose ops run until they are cancelled.
type blocking struct {
	running   chan<- hostcall.From
	cancelled chan<- struct{}
}

func (blocking) ID() link.Service { return link.Objects }

func (b blocking) Handle(ctx context.Context, from hostcall.From, _ link.Op, _ []byte) (link.ServiceReply, error) {
	b.running <- from
	<-ctx.Done()
	close(b.cancelled)
	return link.ServiceReply{}, ctx.Err()
}

// TestHostCallsOfEndedCalls sends an op for a call that the host has already answered. The op is refused, and the
// worker is not ended: the two frames may cross.
func TestHostCallsOfEndedCalls(t *testing.T) {
	tenant := newTenant(Config{Services: []hostcall.Service{blocking{}}}, object.Limits{})
	answers := make(chan *object.Error, 1)
	p, f := startFake(t, tenant, func(_ *fake, typ link.Type, id uint64, body []byte) error {
		if typ == link.HostReply {
			d := link.Decoder{B: body}
			_, err := d.ServiceReplyFields()
			answers <- err
		}
		return nil
	})
	p.mu.Lock()
	p.maxDurations["acme.x"] = time.Hour
	p.mu.Unlock()
	f.send(t, link.HostCall, 1, func(e *link.Encoder) {
		e.PutHostCall(link.HostCallHead{Object: "acme.x", Request: 99, Service: link.Objects, Op: link.ObjectsCall})
	})
	err := <-answers
	const want = "the call that requested this has ended; not executed"
	if err == nil || err.Code != object.CodeCanceled || err.Msg != want {
		t.Errorf("the answer is %v", err)
	}
}

// TestChainWithoutRequest plays a hijacked worker that hides the cause of its calls: it sends them without a request,
// as init does. Each call comes back to the worker as the next one. The chain grows nevertheless, so the limit of the
// depth holds.
func TestChainWithoutRequest(t *testing.T) {
	const most = 8 // the dispatcher's limit
	var p *Process
	var chains [][]object.ID // of calls, outermost first
	call := func(ctx context.Context, from object.ID, _ bool, c *object.Call) (object.Reply, error) {
		c.Chain = append(c.Chain, from)
		if len(c.Chain) > most {
			return object.Reply{}, object.Errorf(object.CodeExhausted, "too deep")
		}
		return p.Invoke(ctx, c, time.Hour)
	}
	tenant := newTenant(Config{Services: objectCalls(call)}, object.Limits{MaxDuration: time.Hour})
	open := map[uint64]uint64{} // requests of the host by the worker's host calls
	p, _ = startFake(t, tenant, func(f *fake, typ link.Type, id uint64, body []byte) error {
		switch d := (&link.Decoder{B: body}); typ {
		case link.Call:
			var c object.Call
			d.CallFields(&c)
			chains = append(chains, c.Chain)
			open[id] = id
			f.send(t, link.HostCall, id, func(e *link.Encoder) {
				e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Objects, Op: link.ObjectsCall})
				e.PutObjectCall(&link.ObjectCall{To: "acme.x", Kind: object.Invoke, Method: "m"})
			})
		case link.HostReply:
			f.reply(t, open[id])
		}
		return nil
	})
	first := &object.Call{ID: "acme.x", Kind: object.Invoke, Method: "m", Chain: []object.ID{"other.a", "other.b"}}
	if _, err := p.Invoke(t.Context(), first, time.Hour); err != nil {
		t.Fatal(err)
	}
	if len(chains) != most-1 { // from a chain of 2 to one of 8
		t.Errorf("%d calls, want %d: chains %v", len(chains), most-1, chains)
	}
}

// TestBrokenOpsEndTheWorker sends invalid ops. Each ends the worker.
func TestBrokenOpsEndTheWorker(t *testing.T) {
	for name, put := range map[string]func(e *link.Encoder){
		"op": func(e *link.Encoder) {
			e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Objects, Op: 9})
		},
		"payload": func(e *link.Encoder) {
			e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Objects, Op: link.ObjectsCall})
		},
		"service": func(e *link.Encoder) {
			e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.MaxService, Op: 1})
		},
		"log op": func(e *link.Encoder) {
			e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Log, Op: 9})
		},
		"object": func(e *link.Encoder) {
			e.PutHostCall(link.HostCallHead{Object: "other.x", Service: link.Log, Op: link.LogLost})
		},
		"object of a line": func(e *link.Encoder) {
			e.PutHostCall(link.HostCallHead{Object: "other.x", Service: link.Log, Op: link.LogLine})
			e.PutLogLine(link.LevelInfo, "a line")
		},
		"object of dropped lines": func(e *link.Encoder) {
			e.PutHostCall(link.HostCallHead{Object: "other.x", Service: link.Log, Op: link.LogDropped})
			e.Uint(5)
		},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(Config{Services: objectCalls(nil)}, object.Limits{})
			p, f := startFake(t, tenant, nil)
			p.mu.Lock()
			p.maxDurations["acme.x"] = time.Hour
			p.mu.Unlock()
			f.send(t, link.HostCall, 1, put)
			<-f.ended
		})
	}
}
