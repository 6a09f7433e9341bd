package process

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/schedstat"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/script"
)

// watched is a worker that accepts calls and answers pings with the running calls that a test passes.
type watched struct {
	*fake
	p         *Process
	tenant    *tenant
	wall      time.Duration // limit of each call
	calls     chan uint64   // ids as they arrive
	withdrawn chan uint64
	cancelled chan uint64
	pings     chan uint64
}

// next receives from calls, pings and the like, whose messages have then arrived. Their bytes are counted as sent:
// those that are counted later would end the silence of the worker.
func (w *watched) next(from <-chan uint64) uint64 {
	id := <-from
	for w.p.out.Waiting() { // the test ends by its own limit if this hangs
		runtime.Gosched()
	}
	return id
}

func watch(t *testing.T, limits object.Limits) *watched {
	t.Helper()
	w := &watched{
		tenant:    newTenant(Config{Confine: confine.Spec{MemoryBytes: 16 << 20}}, limits),
		calls:     make(chan uint64, 10),
		withdrawn: make(chan uint64, 10),
		cancelled: make(chan uint64, 10),
		pings:     make(chan uint64, 1000),
	}
	received := map[link.Type]chan uint64{
		link.Call:     w.calls,
		link.Withdraw: w.withdrawn,
		link.Cancel:   w.cancelled,
		link.Ping:     w.pings,
	}
	w.p, w.fake = startFake(t, w.tenant, func(_ *fake, typ link.Type, id uint64, _ []byte) error {
		if c := received[typ]; c != nil {
			c <- id
		}
		return nil
	})
	w.p.afterFunc = func(time.Duration, func()) {}
	w.wall = w.tenant.Version("acme.x").Limits.MaxDuration
	return w
}

// call makes a call of acme.x and returns a channel for its error.
func (w *watched) call(ctx context.Context, deadline time.Time) <-chan error {
	err := make(chan error, 1)
	go func() { // ends with the call
		call := &object.Call{ID: "acme.x", Kind: object.Invoke, Method: "m", Deadline: deadline}
		_, e := w.p.Invoke(ctx, call, w.wall)
		err <- e
	}()
	return err
}

// sweep runs the host's sweep with a given time, and answers its ping if it sends one.
func (w *watched) sweep(t *testing.T, at time.Time, running ...link.Running) {
	t.Helper()
	w.p.sweep(at)
	w.p.mu.Lock()
	asked, n := !w.p.pinged.IsZero(), w.p.pings
	w.p.mu.Unlock()
	if !asked {
		return
	}
	for id := range w.pings {
		if id == n {
			break
		}
	}
	w.send(t, link.Pong, n, func(e *link.Encoder) { e.PutRunning(running) })
	for answered := false; !answered; {
		w.p.mu.Lock()
		answered = w.p.pinged.IsZero()
		w.p.mu.Unlock()
	}
}

func wantError(t *testing.T, err error, code object.Code, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if object.CodeOf(err) != code || !strings.Contains(err.Error(), part) {
			t.Errorf("error = %v, want code %v and %q", err, code, part)
		}
	}
}

// TestOverdue runs a call that the worker does not end at its limit. The host answers it and ends the worker. The error
// of another call in that worker reports that its execution is unknown.
func TestOverdue(t *testing.T) {
	w := watch(t, object.Limits{MaxDuration: time.Second})
	begun := time.Now()
	late := w.call(t.Context(), begun.Add(time.Hour))
	id := w.next(w.calls)
	other := w.call(t.Context(), begun.Add(time.Hour))
	w.next(w.calls)
	sent := time.Now() // the first call began between begun and sent
	w.sweep(t, sent.Add(300*time.Millisecond), link.Running{ID: id, For: time.Since(begun)})
	w.p.sweep(begun.Add(time.Second + Grace - 100*time.Millisecond))
	select {
	case err := <-late:
		t.Fatalf("answered before its limit and the grace: %v", err)
	default:
	}
	w.p.sweep(sent.Add(time.Second + Grace + 100*time.Millisecond))
	wantError(t, <-late, object.CodeDeadline, "limit exceeded: 1s of wall time", "whether it was executed is unknown")
	if got := <-w.cancelled; got != id {
		t.Errorf("call %d is cancelled, want %d", got, id)
	}
	w.sweep(t, sent.Add(time.Second+Grace+200*time.Millisecond), link.Running{ID: id}) // the other one waits
	w.p.sweep(sent.Add(time.Second + Grace + killAfter + 300*time.Millisecond))
	wantError(t, <-other, object.CodeUnavailable, "whether it was executed is unknown")
	<-w.ended
	<-w.p.done
	const cause = "a call of acme.x was not ended 3.5s after its limit of 1s"
	if all := w.tenant.ended(); len(all) != 1 || !strings.Contains(all[0].Error(), cause) {
		t.Errorf("the worker's end: %v", all)
	}
}

// TestLateIsNotStuck has a worker end a call soon after the host has answered it. The worker is not ended.
func TestLateIsNotStuck(t *testing.T) {
	w := watch(t, object.Limits{MaxDuration: time.Second})
	begun := time.Now()
	late := w.call(t.Context(), begun.Add(time.Hour))
	id := w.next(w.calls)
	sent := time.Now()
	w.sweep(t, sent.Add(300*time.Millisecond), link.Running{ID: id, For: time.Since(begun)})
	w.p.sweep(sent.Add(time.Second + Grace + 100*time.Millisecond))
	wantError(t, <-late, object.CodeDeadline, "whether it was executed is unknown")
	w.reply(t, id)
	next := w.call(t.Context(), begun.Add(time.Hour)) // its answer comes after that one
	w.reply(t, w.next(w.calls))
	if err := <-next; err != nil {
		t.Errorf("the next call: %v", err)
	}
	w.p.sweep(sent.Add(time.Second + Grace + killAfter + 300*time.Millisecond))
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	if w.p.cause != nil {
		t.Errorf("the worker was ended: %v", w.p.cause)
	}
}

// TestWaitingIsNotRunning keeps calls in the worker's queue, which does not count as run time. At its deadline a call
// is withdrawn, and its error reports that it was not executed. A call that begins just then has its full limit.
func TestWaitingIsNotRunning(t *testing.T) {
	w := watch(t, object.Limits{MaxDuration: time.Second})
	now := time.Now()
	waits := w.call(t.Context(), now.Add(10*time.Second))
	first := w.next(w.calls)
	begins := w.call(t.Context(), now.Add(10*time.Second))
	second := w.next(w.calls)
	for at := now; at.Before(now.Add(9 * time.Second)); at = at.Add(500 * time.Millisecond) {
		w.sweep(t, at) // none runs
	}
	w.sweep(t, now.Add(10*time.Second+time.Millisecond))
	got := map[uint64]bool{<-w.withdrawn: true, <-w.withdrawn: true}
	if !got[first] || !got[second] {
		t.Fatalf("withdrawn: %v, want %d and %d", got, first, second)
	}
	w.send(t, link.Withdrawn, first, nil)
	wantError(t, <-waits, object.CodeDeadline, "waited for acme.x and did not begin in time; not executed")
	w.sweep(t, now.Add(10*time.Second+300*time.Millisecond), link.Running{ID: second})
	w.reply(t, second)
	if err := <-begins; err != nil {
		t.Errorf("a call that began: %v", err)
	}
}

// TestWithdraw revokes a permission. Calls that have not begun are withdrawn and receive the host's error. Calls that
// have begun continue.
func TestWithdraw(t *testing.T) {
	w := watch(t, object.Limits{MaxDuration: time.Hour})
	runs := w.call(t.Context(), time.Now().Add(time.Hour))
	first := w.next(w.calls)
	now := time.Now()
	w.sweep(t, now.Add(time.Second), link.Running{ID: first})
	waits := w.call(t.Context(), now.Add(time.Hour))
	second := w.next(w.calls)
	refused := errors.New("no permission any more")
	w.p.Withdraw(func(c *object.Call) error {
		if c.ID != "acme.x" {
			t.Errorf("refuse is called for %v", c.ID)
		}
		return refused
	})
	if id := <-w.withdrawn; id != second {
		t.Errorf("call %d is withdrawn, want %d: the other has begun", id, second)
	}
	w.send(t, link.Withdrawn, second, nil)
	if err := <-waits; !errors.Is(err, refused) {
		t.Errorf("the call that waited: %v", err)
	}
	w.reply(t, first)
	if err := <-runs; err != nil {
		t.Errorf("the call that had begun: %v", err)
	}
}

// TestGivenUp cancels a call in the host. The host cancels it in the worker.
func TestGivenUp(t *testing.T) {
	w := watch(t, object.Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	call := w.call(ctx, time.Time{})
	id := w.next(w.calls)
	cancel()
	wantError(t, <-call, object.CodeCanceled, "whether it was executed is unknown")
	if got := <-w.cancelled; got != id {
		t.Errorf("call %d is cancelled, want %d", got, id)
	}
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	if len(w.p.pending) > 0 || w.p.bytes != 0 {
		t.Errorf("%d requests of %d bytes are still under way", len(w.p.pending), w.p.bytes)
	}
}

// TestSilentWorker makes calls to a worker that does not read, which is ended. The execution of calls in the socket is
// unknown. Calls behind them were not executed, and the next worker receives them.
func TestSilentWorker(t *testing.T) {
	tenant := newTenant(Config{}, object.Limits{MaxDuration: time.Minute})
	p, f := startFake(t, tenant, nil)
	p.afterFunc = func(time.Duration, func()) {}
	calls := make(chan error, 20)
	payload := make([]byte, link.Large/2)
	for range cap(calls) {
		go func() { // ends with the process
			call := &object.Call{ID: "acme.x", Kind: object.Invoke, Payload: payload}
			_, _, err := p.request(t.Context(), link.Call, 0, call, time.Minute)
			calls <- err
		}()
	}
	for placed := 0; placed < cap(calls)-1; { // the frame of one call is being written
		placed = 0
		p.mu.Lock()
		for _, w := range p.pending {
			if w.end.Load() > 0 {
				placed++
			}
		}
		if len(p.pending) < cap(calls) {
			placed = 0
		}
		p.mu.Unlock()
	}
	now := time.Now().Add(time.Second)
	p.sweep(now)
	p.sweep(now.Add(p.pingTimeout() + time.Millisecond))
	<-f.ended
	unknown, not := 0, 0
	for range cap(calls) {
		switch err := <-calls; {
		case err == ErrEnded:
			not++
		case object.CodeOf(err) == object.CodeUnavailable &&
			strings.Contains(err.Error(), "whether it was executed is unknown"):
			unknown++
		default:
			t.Errorf("error = %v", err)
		}
	}
	if not == 0 || unknown > 1 {
		t.Errorf("%d calls were not executed and %d are unknown; the socket holds less than one", not, unknown)
	}
	<-p.done
	all := tenant.ended()
	if len(all) != 1 || !strings.Contains(all[0].Error(), "the worker did not answer the host for 3s") {
		t.Errorf("the worker's end: %v", all)
	}
}

// TestStarved has workers not answer a ping for some time, in which the kernel has given them different processor
// times. One that was starved is not ended before it has run for 1.5 s, or 30 s later than another.
func TestStarved(t *testing.T) {
	const second = time.Second
	for _, test := range []struct {
		name        string
		silent      time.Duration
		ran, waited time.Duration
		ends        bool
	}{
		{"starved", 4 * second, second / 2, 3 * second, false},
		{"starved for long", 32 * second, second, 31 * second, false},
		{"starved for too long", 34 * second, second, 33 * second, true},
		{"had its time", 4 * second, 2 * second, 3 * second, true},
		{"computes", 4 * second, 4 * second, 0, true},
		{"sleeps", 4 * second, 0, 0, true},
		{"in time", 2 * second, 2 * second, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := watch(t, object.Limits{MaxDuration: time.Hour})
			w.fake.times.Store(&schedstat.Times{Ran: time.Hour, Waited: time.Hour})
			answer := w.call(t.Context(), time.Time{})
			w.next(w.calls)
			now := time.Now().Add(second)
			w.p.sweep(now)
			w.next(w.pings)
			w.fake.times.Store(&schedstat.Times{Ran: time.Hour + test.ran, Waited: time.Hour + test.waited})
			w.p.sweep(now.Add(test.silent))
			ended := false
			select {
			case <-w.ended:
				ended = true
			default:
			}
			if ended != test.ends {
				t.Errorf("ended: %v, want %v", ended, test.ends)
			}
			w.p.Kill(errors.New("the test ends"))
			<-answer
		})
	}
}

// TestOneReadingPerSweep has many calls exceed their limit in a worker that is starved. Each sweep reads the processor
// times of the worker once, not for each call.
func TestOneReadingPerSweep(t *testing.T) {
	w := watch(t, object.Limits{MaxDuration: time.Second})
	w.fake.times.Store(&schedstat.Times{})
	const calls = 10
	var answers []<-chan error
	var running []link.Running
	for range calls {
		answers = append(answers, w.call(t.Context(), time.Time{}))
		running = append(running, link.Running{ID: w.next(w.calls)})
	}
	now := time.Now()
	w.sweep(t, now.Add(300*time.Millisecond), running...)
	late := now.Add(time.Hour)
	w.p.sweep(late)
	for _, answer := range answers {
		wantError(t, <-answer, object.CodeDeadline, "whether it was executed is unknown")
	}
	w.fake.times.Store(&schedstat.Times{Waited: time.Hour})
	before := w.fake.reads.Load()
	w.p.sweep(late.Add(killAfter + time.Second))
	if n := w.fake.reads.Load() - before; n != 1 {
		t.Errorf("a sweep reads the times %d times", n)
	}
	w.p.Kill(errors.New("the test ends"))
	<-w.p.done
}

// TestControlDoesNotWait changes objects and secrets of a worker that does not read, and ends a connection. The host
// does not wait for the worker.
func TestControlDoesNotWait(t *testing.T) {
	tenant := newTenant(Config{}, object.Limits{})
	tenant.secrets = map[object.ID]map[string]string{"acme.x": {"k": "v"}}
	p, f := startFake(t, tenant, nil)
	source := make([]byte, 1<<20)
	for range 20 { // none of this fits the socket
		v := script.NewVersion("acme.x", script.Script{Source: source}, script.NewLibs(nil), object.Limits{})
		p.mu.Lock()
		p.staged[v] = true
		p.mu.Unlock()
		tenant.use(v)
		p.Activate(v)
		p.mu.Lock()
		p.postFrame(p.loadFrame(v, 0))
		p.mu.Unlock()
	}
	p.Grant()
	p.EndConn(7)
	p.Withdraw(func(*object.Call) error { return errNoAnswer })
	tenant.use()
	p.Remove("acme.x")
	p.Stop()
	p.Kill(errors.New("the drain deadline has passed"))
	<-f.ended
	<-p.done
}

// TestStartDoesNotWait starts calls of a worker that does not read its link: the loop's goroutine, which starts the
// calls of all tenants, does not wait for it. All calls have a result when the worker ends.
func TestStartDoesNotWait(t *testing.T) {
	tenant := newTenant(Config{}, object.Limits{})
	p, f := startFake(t, tenant, nil)
	const calls = 100
	results := make(chan error, calls)
	for range calls { // a few of them fit the socket
		c := &object.Call{ID: "acme.x", Kind: object.Invoke, Method: "m", Payload: make([]byte, link.Large)}
		flush := func(write func()) { write() } // the end of the loop's round
		done := func(_ any, _ object.Reply, err error) { results <- err }
		if !p.Start(c, time.Minute, flush, done) {
			results <- ErrEnded
		}
	}
	select {
	case <-f.ended:
		t.Error("the loop waited until the host ended the worker for its silence")
	default:
	}
	p.Kill(errors.New("the test ends"))
	<-f.ended
	for range calls {
		if err := <-results; err == nil {
			t.Error("a call of a worker that reads nothing has a result")
		}
	}
	<-p.done
}

// TestArgumentsUnderWay sends arguments up to a part of the worker's memory. Calls beyond it are refused.
func TestArgumentsUnderWay(t *testing.T) {
	w := watch(t, object.Limits{MaxDuration: time.Minute, ArgumentBytes: object.MaxMessageBytes})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	room := w.p.payloadRoom()
	refused := make(chan error, 10)
	payload := make([]byte, room/4+1)
	ended := make(chan error, 4)
	for range 4 { // three have room
		go func() { // ends with ctx
			_, _, err := w.p.request(ctx, link.Call, 0, &object.Call{ID: "acme.x", Payload: payload}, time.Minute)
			if object.CodeOf(err) == object.CodeExhausted {
				refused <- err
			}
			ended <- err
		}()
	}
	const want = "limit exceeded: 4 MiB of arguments in flight to the tenant's worker"
	wantError(t, <-refused, object.CodeExhausted, want, "not executed, try again")
	cancel()
	for range 4 {
		<-ended
	}
	if len(refused) > 0 {
		t.Error("more than one of four is refused")
	}
}

// TestPingBehindLargeMessage has a worker read a large message slowly, with the host's ping behind it. It is not
// silent while it reads. It is ended when it stops, or after the bound on the whole time.
func TestPingBehindLargeMessage(t *testing.T) {
	const limit, part = wholePing, 2 * wholePing / 3
	for _, test := range []struct {
		name  string
		turns int           // parts of the message that the worker reads
		then  time.Duration // time until it is ended
	}{
		{"stops", 5, limit + time.Millisecond},
		{"reads too slowly", int((limit + maxStarved) / part), part},
	} {
		t.Run(test.name, func(t *testing.T) {
			tenant := newTenant(Config{}, object.Limits{MaxDuration: time.Hour, ArgumentBytes: object.MaxMessageBytes})
			p, f := startFake(t, tenant, nil)
			p.afterFunc = func(time.Duration, func()) {}
			answer := make(chan error, 1)
			go func() { // ends with the process
				call := &object.Call{ID: "acme.x", Kind: object.Invoke, Payload: make([]byte, 8<<20)}
				_, err := p.Invoke(t.Context(), call, time.Hour)
				answer <- err
			}()
			// fill waits until the host has written what fits the socket.
			fill := func() {
				for open := 0; !p.Gone() && (open == 0 || p.late()); {
					p.mu.Lock()
					open = len(p.pending)
					p.mu.Unlock()
					runtime.Gosched()
				}
			}
			fill()
			now := time.Now().Add(time.Second)
			p.sweep(now)
			raw, err := f.socket.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 64<<10)
			for i := range test.turns {
				for before := p.out.Sent(); p.out.Sent() == before; { // the test ends by its own limit if this hangs
					_ = raw.Control(func(fd uintptr) { _, _, err = nonblock.Read(fd, buf) })
					if err != nil {
						t.Fatal(err)
					}
					runtime.Gosched()
				}
				fill()
				select {
				case <-f.ended:
					t.Fatalf("ended after %d parts", i)
				default:
				}
				now = now.Add(part)
				p.sweep(now)
			}
			p.sweep(now.Add(test.then))
			<-f.ended
			<-p.done
			if err := <-answer; object.CodeOf(err) != object.CodeUnavailable {
				t.Errorf("the call: %v", err)
			}
		})
	}
}

// heldLog is a log handler that waits.
type heldLog struct {
	slog.Handler
	reached, until chan struct{}
}

func (s heldLog) Enabled(context.Context, slog.Level) bool { return true }

func (s heldLog) WithAttrs([]slog.Attr) slog.Handler { return s }

func (s heldLog) WithGroup(string) slog.Handler { return s }

func (s heldLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "script" {
		close(s.reached)
		<-s.until
	}
	return nil
}

// TestHostIsLate has a worker answer a ping while the host does not read. The worker is not ended for that.
func TestHostIsLate(t *testing.T) {
	log := heldLog{slog.DiscardHandler, make(chan struct{}), make(chan struct{})}
	tenant := newTenant(Config{Log: slog.New(log)}, object.Limits{MaxDuration: time.Hour})
	pings := make(chan uint64, 1)
	p, f := startFake(t, tenant, func(_ *fake, typ link.Type, id uint64, _ []byte) error {
		if typ == link.Ping {
			pings <- id
		}
		return nil
	})
	p.afterFunc = func(time.Duration, func()) {}
	answer := make(chan error, 1)
	go func() { // ends with the process
		_, err := p.Invoke(t.Context(), &object.Call{ID: "acme.x", Kind: object.Invoke}, time.Hour)
		answer <- err
	}()
	for open := 0; open == 0; runtime.Gosched() {
		p.mu.Lock()
		open = len(p.pending)
		p.mu.Unlock()
	}
	now := time.Now().Add(time.Second)
	p.sweep(now)
	ping := <-pings
	f.send(t, link.HostCall, 0, func(e *link.Encoder) {
		e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Log, Op: link.LogLine})
		e.PutLogLine(link.LevelWarn, "a line")
	})
	<-log.reached
	f.send(t, link.Pong, ping, func(e *link.Encoder) { e.PutRunning(nil) })
	p.sweep(now.Add(wholePing - time.Second)) // the line has come
	swept := make(chan struct{})
	go func() { // ends with the sweep
		defer close(swept)
		p.sweep(now.Add(2 * wholePing))
	}()
	select {
	case <-swept:
	case <-f.ended:
		t.Error("the worker is ended, although its answer has come")
	}
	close(log.until)
	p.Kill(errors.New("the test ends"))
	<-answer
}

// TestHostStopped stops the host for a minute after a ping. The worker has its whole time afterwards.
func TestHostStopped(t *testing.T) {
	w := watch(t, object.Limits{MaxDuration: time.Hour})
	answer := w.call(t.Context(), time.Time{})
	w.next(w.calls)
	now := time.Now().Add(time.Second)
	w.p.sweep(now)
	w.next(w.pings)
	due := now.Add(sweepEvery)
	now = due.Add(time.Minute)
	w.p.sweepDue(due, now)
	now = now.Add(wholePing - 2*sweepEvery)
	w.p.sweepDue(now, now)
	select {
	case <-w.ended:
		t.Fatal("the worker is ended for a time in which the host did not run")
	default:
	}
	now = now.Add(2 * sweepEvery)
	w.p.sweepDue(now, now)
	<-w.ended
	<-answer
}
