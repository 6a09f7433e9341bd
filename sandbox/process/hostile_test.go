package process

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// TestHostileWorker plays compromised workers. They answer late, twice and out of order, send frames of every type with
// random content, stop reading, and make object calls without end. Every request is still answered once, with its
// answer or an error, and the process ends.
func TestHostileWorker(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1)) // of the worker's reader alone
			services := objectCalls(func(context.Context, object.ID, bool, *object.Call) (object.Reply, error) {
				return object.Reply{Payload: make([]byte, 10_000)}, nil
			})
			tenant := newTenant(Config{Services: services}, object.Limits{MaxDuration: time.Hour})
			var open []uint64
			deaf := seed%5 == 0 && seed > 0
			p, f := startFake(t, tenant, func(f *fake, typ link.Type, id uint64, _ []byte) error {
				var e link.Encoder
				post := func(typ link.Type, id uint64, put func()) error {
					e.Begin(typ, id)
					put()
					return f.out.Post(e.Frame())
				}
				if typ == link.Call {
					open = append(open, id)
				}
				for range random.IntN(4) {
					switch n := random.IntN(12); {
					case n < 6 && len(open) > 0:
						i := random.IntN(len(open))
						id := open[i]
						open = append(open[:i], open[i+1:]...)
						reply := object.Reply{Payload: fmt.Appendf(nil, "%d", id)}
						_ = post(link.Reply, id, func() { e.PutReply(reply, true, nil) })
					case n < 8:
						a := link.HostCallHead{Object: "acme.x", Service: link.Objects, Op: link.ObjectsCall}
						if len(open) > 0 && random.IntN(2) == 0 { // of a call that may be answered at any moment
							a.Request = open[random.IntN(len(open))]
						}
						_ = post(link.HostCall, 1+random.Uint64N(100), func() {
							e.PutHostCall(a)
							payload := make([]byte, random.IntN(100_000))
							e.PutObjectCall(&link.ObjectCall{To: "acme.y", Kind: object.Invoke, Payload: payload})
						})
					case n == 8:
						unknown := random.Uint64N(1000) + 1_000_000
						_ = post(link.Reply, unknown, func() { e.PutReply(object.Reply{}, false, nil) })
					case n == 9:
						_ = post(link.HostCall, 0, func() {
							e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Log, Op: link.LogLine})
							e.PutLogLine(link.LevelWarn, string(make([]byte, 100)))
						})
					case n == 10 && random.IntN(20) == 0:
						_ = post(link.Type(random.IntN(256)), random.Uint64N(100), func() {
							e.Raw([]byte{byte(random.Uint32()), byte(random.Uint32())})
						})
					case n == 11 && deaf && random.IntN(20) == 0:
						<-f.ended // stops reading
						return link.ErrStalled
					}
				}
				if typ == link.Ping && !deaf {
					return post(link.Pong, id, func() { e.PutRunning(nil) })
				}
				return nil
			})
			p.mu.Lock()
			p.maxDurations["acme.x"] = time.Hour
			p.mu.Unlock()
			var calls sync.WaitGroup
			for c := range 8 {
				calls.Go(func() {
					for n := range 30 {
						ctx, cancel := context.WithCancel(t.Context())
						if (c+n)%7 == 0 {
							cancel() // its caller leaves at once
						}
						call := &object.Call{
							ID:       "acme.x",
							Kind:     object.Invoke,
							Method:   "m",
							Payload:  make([]byte, (c+1)*(n+1)*200),
							Deadline: time.Now().Add(time.Hour),
						}
						r, _, err := p.request(ctx, link.Call, 0, call, time.Hour)
						if err == nil && !bytes.ContainsAny(r.Payload, "123456789") && !r.Exception {
							t.Errorf("the answer is %q", r.Payload)
						}
						cancel()
					}
				})
			}
			// The host sweeps with times in the future, so that it ends calls without an answer, and the worker
			// with them.
			stop := make(chan struct{})
			go func() { calls.Wait(); close(stop) }()
			for at := time.Now(); ; at = at.Add(time.Minute) {
				select {
				case <-stop:
					p.Kill(link.ErrStalled)
					<-f.ended
					for p.hostCalls.InFlight() > 0 { // they end with the process
						runtime.Gosched()
					}
					p.mu.Lock()
					if len(p.pending) > 0 || p.bytes != 0 {
						t.Errorf("%d requests of %d bytes are in the table without a caller", len(p.pending), p.bytes)
					}
					p.mu.Unlock()
					return
				case <-time.After(50 * time.Millisecond):
					p.sweep(at)
				}
			}
		})
	}
}
