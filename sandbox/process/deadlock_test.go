package process

import (
	"bytes"
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/link"
)

// deadlocked bounds the time without progress at both ends.
const deadlocked = 30 * time.Second

// progress fails the test if count does not change for deadlocked before done is closed.
func progress(t *testing.T, done <-chan struct{}, count *atomic.Int64, stop func()) {
	t.Helper()
	tick := time.NewTicker(deadlocked)
	defer tick.Stop()
	for last := int64(-1); ; {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		now := count.Load()
		if now == last {
			t.Errorf("host and worker wait for each other after %d answers", now)
			stop()
			<-done
			return
		}
		last = now
	}
}

// TestReadersDoNotWait has scripts make calls that the host's reader refuses, and callers make calls that the worker's
// reader refuses. All are larger than the socket buffers. Readers that waited for their writes would deadlock.
func TestReadersDoNotWait(t *testing.T) {
	const each = 500
	block := make(chan struct{})
	t.Cleanup(func() { close(block) })
	services := objectCalls(func(context.Context, object.ID, bool, *object.Call) (object.Reply, error) {
		<-block
		return object.Reply{}, nil
	})
	tenant := newTenant(Config{Services: services}, object.Limits{MaxDuration: time.Hour})
	var answers atomic.Int64
	var waiting sync.Map // channels of the scripts that wait, by request
	p, f := startFakeOn(t, tenant, func(f *fake, typ link.Type, id uint64, body []byte) error {
		switch typ {
		case link.Call: // as for a full queue
			var e link.Encoder
			e.Begin(link.Reply, id)
			const full = "limit exceeded: 256 calls are waiting for acme.x; not executed"
			e.PutReply(object.Reply{}, false, object.Errorf(object.CodeExhausted, full))
			return f.out.Post(e.Frame())
		case link.Ping:
			var e link.Encoder
			e.Begin(link.Pong, id)
			e.PutRunning(nil)
			return f.out.Post(e.Frame())
		case link.HostReply:
			d := link.Decoder{B: bytes.Clone(body)}
			_, failed := d.ServiceReplyFields()
			const want = "limit exceeded: 256 host calls in flight, calls of other objects included; not executed"
			if failed == nil || failed.Msg != want {
				t.Errorf("a call of a script: %v, want %q", failed, want)
			}
			ch, _ := waiting.LoadAndDelete(id)
			close(ch.(chan struct{}))
		}
		return nil
	}, func(*testing.T, ...*os.File) {}) // default buffers are full most often
	p.mu.Lock()
	p.maxDurations["acme.x"] = time.Hour
	p.mu.Unlock()
	var ids atomic.Uint64
	for range hostcall.MaxInFlight { // slow calls to another object take every slot
		f.send(t, link.HostCall, ids.Add(1), func(e *link.Encoder) {
			e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Objects, Op: link.ObjectsCall})
			e.PutObjectCall(&link.ObjectCall{To: "acme.y", Kind: object.Invoke, Method: "m"})
		})
	}
	payload := make([]byte, 230<<10)
	part := func(n int) []byte { return payload[:1+n*7919%len(payload)] }
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { // a script
			for n := range each {
				id := ids.Add(1)
				answered := make(chan struct{})
				waiting.Store(id, answered)
				var e link.Encoder
				e.Begin(link.HostCall, id)
				e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Objects, Op: link.ObjectsCall})
				e.PutObjectCall(&link.ObjectCall{To: "acme.y", Kind: object.Invoke, Method: "m", Payload: part(n + 1)})
				if f.out.Write(e.Frame()) != nil {
					return
				}
				select {
				case <-answered:
				case <-f.ended:
					return
				}
				answers.Add(1)
			}
		})
		all.Go(func() { // a caller
			for n := range each {
				call := &object.Call{ID: "acme.x", Kind: object.Invoke, Method: "m", Payload: part(n + 2)}
				_, err := p.Invoke(t.Context(), call, time.Hour)
				if object.CodeOf(err) != object.CodeExhausted {
					t.Errorf("a call that the worker refuses: %v", err)
					return
				}
				answers.Add(1)
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	progress(t, done, &answers, func() { p.Kill(link.ErrStalled) })
}
