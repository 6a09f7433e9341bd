package hostcall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// worker is a process without a link. It has the requests that a test opens.
type worker struct {
	table *Table
	full  bool // too many bytes wait: Send fails

	mu      sync.Mutex // guards the fields below
	open    map[uint64]bool
	answers map[uint64][]answer // by the worker's id of the op
	killed  error
}

// answer is the answer to one op.
type answer struct {
	payload string
	err     *object.Error
}

// newWorker returns a process with one service of tenant acme.
func newWorker(t testing.TB, budget Budget, handle handler) *worker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return newWorkerUntil(ctx, budget, handle)
}

// newWorkerUntil is newWorker for a process that ends with ctx.
func newWorkerUntil(ctx context.Context, budget Budget, handle handler) *worker {
	w := &worker{open: map[uint64]bool{}, answers: map[uint64][]answer{}}
	w.table = New(ctx, Config{Tenant: "acme", Services: []Service{handle}, Budget: budget}, w)
	return w
}

// handler is a service with the number of the object service.
type handler func(ctx context.Context, from From, payload []byte) (link.ServiceReply, error)

func (handler) ID() link.Service { return link.Objects }

func (h handler) Handle(ctx context.Context, from From, _ link.Op, payload []byte) (link.ServiceReply, error) {
	return h(ctx, from, payload)
}

func (w *worker) Bind(c *Call) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Request != 0 && !w.open[c.Request] {
		return object.Errorf(object.CodeCanceled, "the call has ended")
	}
	return c.Enter()
}

func (w *worker) Post(frame []byte) { w.answer(frame, nil) }

func (w *worker) Send(frame, payload []byte) error {
	if w.full {
		return link.ErrBacklog
	}
	w.answer(frame, payload)
	return nil
}

func (w *worker) Kill(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.killed = cause
}

// answer decodes and stores an answer.
func (w *worker) answer(frame, payload []byte) {
	id := binary.LittleEndian.Uint64(frame[5:]) // after length and type
	d := link.Decoder{B: append(frame[13:], payload...)}
	r, err := d.ServiceReplyFields()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[id] = append(w.answers[id], answer{string(r.Payload), err})
}

// endRequest ends a call of the host, as a process does.
func (w *worker) endRequest(n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, n)
	w.table.CancelRequest(n)
}

// start starts an op of acme.x.
func (w *worker) start(id, request uint64, payload []byte) error {
	head := link.HostCallHead{Object: "acme.x", Request: request, Service: link.Objects, Op: link.ObjectsCall}
	return w.table.Start(id, head, payload, len(payload))
}

// settle waits until every op has ended, and returns the answers.
func (w *worker) settle() map[uint64][]answer {
	for w.table.InFlight() > 0 {
		runtime.Gosched()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answers
}

// limited is a budget of left bytes.
type limited struct {
	mu   sync.Mutex
	left int
}

func (l *limited) Acquire(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n > l.left {
		return errors.New("1 MiB of calls between the tenant's objects")
	}
	l.left -= n
	return nil
}

func (l *limited) Release(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left += n
}

func (l *limited) remaining() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left
}

// TestBudget starts ops beyond the budget of bytes in flight. The ops beyond it are refused, not executed, and the
// budget is whole again when the others have ended.
func TestBudget(t *testing.T) {
	const calls = 8
	budget, open := &limited{left: 1 << 20}, make(chan struct{})
	w := newWorker(t, budget, func(_ context.Context, _ From, payload []byte) (link.ServiceReply, error) {
		<-open
		return link.ServiceReply{Payload: payload[:10]}, nil
	})
	for id := range uint64(calls) {
		if err := w.start(id+1, 0, make([]byte, 300_000)); err != nil { // the budget has room for three
			t.Fatal(err)
		}
	}
	w.mu.Lock()
	refused := len(w.answers)
	for id, a := range w.answers {
		const want = "limit exceeded: 1 MiB of calls between the tenant's objects; not executed"
		if len(a) != 1 || a[0].err == nil || a[0].err.Msg != want {
			t.Errorf("op %d: %v, want %q", id, a, want)
		}
	}
	w.mu.Unlock()
	if refused != calls-3 {
		t.Errorf("%d ops are refused, want %d", refused, calls-3)
	}
	close(open)
	executed := 0
	for _, a := range w.settle() {
		if len(a) == 1 && a[0].err == nil && len(a[0].payload) == 10 {
			executed++
		}
	}
	if left := budget.remaining(); executed != 3 || left != 1<<20 {
		t.Errorf("%d ops are executed, want 3; the budget has %d bytes", executed, left)
	}
}

// TestLostResults runs ops whose result has no room. The answers report that they were executed.
func TestLostResults(t *testing.T) {
	large := func(context.Context, From, []byte) (link.ServiceReply, error) {
		return link.ServiceReply{Payload: make([]byte, 100)}, nil
	}
	for cause, w := range map[string]*worker{
		"1 MiB of calls between the tenant's objects; ":                      newWorker(t, &limited{left: 50}, large),
		"64 MiB that wait for the tenant's worker, which does not keep up; ": newWorker(t, nil, large),
	} {
		w.full = true
		if err := w.start(1, 0, []byte("x")); err != nil {
			t.Fatal(err)
		}
		a := w.settle()[1]
		if len(a) != 1 || a[0].err == nil || a[0].err.Code != object.CodeExhausted ||
			!strings.HasPrefix(a[0].err.Msg, "limit exceeded: "+cause) ||
			!strings.HasSuffix(a[0].err.Msg, "the call was executed, its result is lost") {
			t.Errorf("%q: the answers are %v", cause, a)
		}
	}
}

// TestTooMany holds every slot. The next op is refused, and one more runs when an op has ended.
func TestTooMany(t *testing.T) {
	next := make(chan struct{})
	w := newWorker(t, nil, func(context.Context, From, []byte) (link.ServiceReply, error) {
		<-next
		return link.ServiceReply{}, nil
	})
	for id := range uint64(MaxInFlight) {
		if err := w.start(id+1, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.start(1000, 0, nil); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	a := w.answers[1000]
	w.mu.Unlock()
	if len(a) != 1 || a[0].err == nil || a[0].err.Msg != errTooMany.Msg {
		t.Errorf("the op beyond the limit: %v", a)
	}
	next <- struct{}{}
	for w.table.InFlight() == MaxInFlight {
		runtime.Gosched()
	}
	if err := w.start(1001, 0, nil); err != nil {
		t.Fatal(err)
	}
	close(next)
	if a := w.settle()[1001]; len(a) != 1 || a[0].err != nil {
		t.Errorf("an op after that: %v", a)
	}
}

// TestBrokenProtocol requests ops that no worker requests.
func TestBrokenProtocol(t *testing.T) {
	w := newWorker(t, nil, func(context.Context, From, []byte) (link.ServiceReply, error) {
		return link.ServiceReply{}, fmt.Errorf("%w: op 9", ErrProtocol)
	})
	for _, head := range []link.HostCallHead{
		{Service: link.MaxService},
		{Service: link.MaxService + 1},
		{Service: 255},
		{Service: link.Log},
	} {
		if err := w.table.Start(1, head, nil, 0); !errors.Is(err, ErrUnknown) {
			t.Errorf("service %d: %v", head.Service, err)
		}
	}
	if err := w.start(0, 0, nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("an op without an id: %v", err)
	}
	if err := w.start(1, 0, nil); err != nil {
		t.Fatal(err)
	}
	a := w.settle()[1]
	if len(a) != 1 || a[0].err == nil || a[0].err.Msg != "internal error" || !errors.Is(w.killed, ErrProtocol) {
		t.Errorf("a broken payload: %v; the worker was ended by %v", a, w.killed)
	}
}

// running is an op that runs in the service.
type running struct {
	id      uint64 // the worker's id
	request uint64
	ctx     context.Context
	end     chan struct{}
}

// TestTable runs random operations of a worker that may break the protocol. Each op is answered once. An op is
// cancelled exactly if its request has ended or the worker has given it up. At the end nothing is left.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		begun := make(chan *running)
		budget := &limited{left: 1000}
		w := newWorkerUntil(ctx, budget, func(ctx context.Context, _ From, payload []byte) (link.ServiceReply, error) {
			r := &running{uint64(payload[0]), uint64(payload[1]), ctx, make(chan struct{})}
			begun <- r
			<-r.end
			return link.ServiceReply{Payload: payload}, ctx.Err()
		})
		started := map[uint64]int{}
		cancelled := map[*running]bool{}
		var ops []*running
		newest := map[uint64]*running{} // by id: a cancel frame names this one
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				w.mu.Lock()
				w.open[rapid.Uint64Range(1, 3).Draw(t, "request")] = true
				w.mu.Unlock()
			},
			"start": func(t *rapid.T) {
				id, request := rapid.Uint64Range(1, 5).Draw(t, "id"), rapid.Uint64Range(0, 3).Draw(t, "request")
				started[id]++
				before := w.table.InFlight()
				if err := w.start(id, request, []byte{byte(id), byte(request)}); err != nil {
					t.Fatal(err)
				}
				if w.table.InFlight() > before {
					r := <-begun
					ops, newest[id] = append(ops, r), r
				}
			},
			"end": func(t *rapid.T) {
				if len(ops) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(ops)-1).Draw(t, "op")
				r, before := ops[i], w.table.InFlight()
				ops = append(ops[:i], ops[i+1:]...)
				if newest[r.id] == r {
					delete(newest, r.id)
				}
				close(r.end)
				for w.table.InFlight() == before {
					runtime.Gosched()
				}
			},
			"give up": func(t *rapid.T) {
				id := rapid.Uint64Range(1, 5).Draw(t, "id")
				w.table.Cancel(id)
				if r := newest[id]; r != nil {
					cancelled[r] = true
				}
			},
			"end request": func(t *rapid.T) {
				n := rapid.Uint64Range(1, 3).Draw(t, "request")
				w.endRequest(n)
				for _, r := range ops {
					cancelled[r] = cancelled[r] || r.request == n
				}
			},
			"": func(t *rapid.T) {
				for _, r := range ops {
					if got := r.ctx.Err() != nil; got != cancelled[r] {
						t.Fatalf("op %d of request %d: cancelled is %v, want %v", r.id, r.request, got, cancelled[r])
					}
				}
			},
		})
		for _, r := range ops {
			close(r.end)
		}
		answers := w.settle()
		for id, n := range started {
			if len(answers[id]) != n {
				t.Errorf("op %d was requested %d times and answered %d times", id, n, len(answers[id]))
			}
		}
		w.table.mu.Lock()
		defer w.table.mu.Unlock()
		n, left := len(w.table.byID)+len(w.table.byRequest), budget.remaining()
		if n > 0 || left != 1000 {
			t.Errorf("%d ops are left in the table, and %d of 1000 bytes in the budget", n, left)
		}
	})
}
