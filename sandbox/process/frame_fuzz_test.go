package process

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/scriptlog"
)

// FuzzFrame sends frames of a compromised worker. The host does not fail and accepts nothing about objects that the
// worker does not have, and every call is answered once.
func FuzzFrame(f *testing.F) {
	var e link.Encoder
	body := func(put func()) []byte {
		e.Begin(0, 0)
		put()
		return append([]byte(nil), e.Frame()[13:]...)
	}
	f.Add(uint8(link.Reply), uint64(1), body(func() { e.PutReply(object.Reply{Payload: []byte("x")}, true, nil) }))
	f.Add(uint8(link.Reply), uint64(1), body(func() {
		e.PutReply(object.Reply{}, false, object.Errorf(object.CodeRaised, "why"))
	}))
	f.Add(uint8(link.Described), uint64(1), []byte{})
	asks := func(a link.HostCallHead, put func()) []byte { return body(func() { e.PutHostCall(a); put() }) }
	line := func() { e.PutLogLine(link.LevelWarn, "line\n") }
	f.Add(uint8(link.HostCall), uint64(0),
		asks(link.HostCallHead{Object: "acme.x", Service: link.Log, Op: link.LogLine}, line))
	f.Add(uint8(link.HostCall), uint64(0),
		asks(link.HostCallHead{Object: "other.x", Service: link.Log, Op: link.LogLine}, line))
	logOp := func(op link.Op, request uint64) link.HostCallHead {
		return link.HostCallHead{Object: "acme.x", Service: link.Log, Op: op, Request: request}
	}
	why := func() { e.Raw([]byte("why")) }
	f.Add(uint8(link.HostCall), uint64(0), asks(logOp(link.LogDropped, 0), func() { e.Uint(1 << 40) }))
	f.Add(uint8(link.HostCall), uint64(0), asks(logOp(link.LogFailure, 1), why))
	f.Add(uint8(link.HostCall), uint64(0), asks(logOp(link.LogLost, 0), why))
	f.Add(uint8(link.HostCall), uint64(0),
		asks(link.HostCallHead{Object: "acme.x", Service: link.Log, Op: 99}, func() {}))
	call := func() {
		e.PutObjectCall(&link.ObjectCall{To: "other.y", Kind: object.Invoke, Method: "m", Payload: []byte("p")})
	}
	for _, a := range []link.HostCallHead{
		{Object: "acme.x"},
		{Object: "acme.x", Request: 2}, // a running call of the object
		{Object: "acme.x", Request: 1}, // no call
		{Object: "acme.x", Request: 9}, // ended
		{Object: "acme.z", Request: 2}, // of another object
		{Object: "other.x"},
	} {
		a.Service, a.Op = link.Objects, link.ObjectsCall
		f.Add(uint8(link.HostCall), uint64(3), asks(a, call))
	}
	f.Add(uint8(link.HostCall), uint64(3),
		asks(link.HostCallHead{Object: "acme.x", Service: link.Objects, Op: 7}, call))
	empty := link.HostCallHead{Object: "acme.x", Service: link.Objects, Op: link.ObjectsCall}
	f.Add(uint8(link.HostCall), uint64(3), asks(empty, func() {}))
	f.Add(uint8(link.HostCall), uint64(3), asks(link.HostCallHead{Object: "acme.x", Service: 200}, func() {}))
	f.Add(uint8(link.Cancel), uint64(3), []byte{})
	f.Add(uint8(99), uint64(0), []byte{1})
	f.Fuzz(func(t *testing.T, typ uint8, id uint64, body []byte) {
		asked := make(chan hostcall.From, 1)
		service := recorder(func(from hostcall.From) { asked <- from })
		w := &pending{answer: make(chan struct{}, 1)}
		call := &object.Call{ID: "acme.x", Corr: [16]byte{1}, Chain: []object.ID{"acme.first"}}
		x := &pending{answer: make(chan struct{}, 1), call: call}
		_, cancel := context.WithCancel(t.Context())
		owner := newTenant(Config{}, object.Limits{})
		p := &Process{
			cfg:          owner.cfg,
			owner:        owner,
			out:          link.NewWriter(io.Discard),
			ctx:          t.Context(),
			cancel:       cancel,
			pending:      map[uint64]*pending{1: w, 2: x},
			maxDurations: map[object.ID]time.Duration{"acme.x": time.Second, "acme.z": time.Second},
		}
		logged := map[object.ID]bool{} // objects for which a line was logged
		p.log = scriptlog.New(scriptlog.Config{
			Out:     slog.New(slog.DiscardHandler),
			Account: owner.cfg.Account,
			Redact:  owner.Redact,
			Lines:   func(id object.ID) int { logged[id] = true; return 10 },
		})
		services := hostcall.Config{Tenant: "acme", Services: []hostcall.Service{service}}
		p.hostCalls = hostcall.New(p.ctx, services, hostCaller{p})
		err := p.frame(link.Type(typ), id, body)
		if answered := len(w.answer) == 1; answered != (p.pending[1] == nil) {
			t.Errorf("answered: %v, and the call waits: %v", answered, p.pending[1] != nil)
		}
		for from := range logged {
			if from != "acme.x" && from != "acme.z" {
				t.Errorf("a line of %q was accepted", from)
			}
		}
		for p.hostCalls.InFlight() > 0 { // every op ends
			runtime.Gosched()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		d := link.Decoder{B: body}
		ask := d.HostCallFields()
		select {
		case from := <-asked:
			want := hostcall.From{Tenant: "acme", Object: ask.Object}
			switch ask.Request {
			case 0: // the call of acme.x may be the cause
				want.Chain = []object.ID{ask.Object}
			case 2:
				want.Corr, want.Chain = [16]byte{1}, []object.ID{"acme.first"}
			}
			known := p.maxDurations[from.Object.Family()] > 0
			if err != nil || !known || !reflect.DeepEqual(from, want) {
				t.Errorf("an op runs for %+v, want %+v; %v", from, want, err)
			}
		default:
			made := err == nil && link.Type(typ) == link.HostCall && ask.Service == link.Objects
			if made && (ask.Request == 0 || p.pending[ask.Request] != nil) {
				t.Error("an op of a running call was neither run nor refused")
			}
		}
	})
}

// recorder is an object service that does nothing and reports the calling objects.
type recorder func(hostcall.From)

func (recorder) ID() link.Service { return link.Objects }

func (r recorder) Handle(_ context.Context, from hostcall.From, _ link.Op, _ []byte) (link.ServiceReply, error) {
	r(from)
	return link.ServiceReply{}, nil
}

// TestLinesAreBounded sends a long log line of a compromised worker. The host truncates it.
func TestLinesAreBounded(t *testing.T) {
	var log bytes.Buffer
	owner := newTenant(Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, object.Limits{})
	p := &Process{
		cfg:          owner.cfg,
		owner:        owner,
		maxDurations: map[object.ID]time.Duration{"acme.x": time.Second},
		log:          newLog(owner.cfg, owner),
	}
	var e link.Encoder
	e.Begin(link.HostCall, 0)
	e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Log, Op: link.LogLine})
	e.PutLogLine(link.LevelWarn, strings.Repeat("x", 1<<20))
	if err := p.frame(link.HostCall, 0, e.Frame()[13:]); err != nil {
		t.Fatal(err)
	}
	if n := log.Len(); n < link.MaxLogLineBytes || n > link.MaxLogLineBytes+1000 {
		t.Errorf("the log has %d bytes of it, want about %d", n, link.MaxLogLineBytes)
	}
}
