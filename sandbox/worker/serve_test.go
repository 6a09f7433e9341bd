package worker

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// client plays the host of a worker that serves in this process.
type client struct {
	t      *testing.T
	w      *process
	socket *nonblock.Socket
	out    *link.Writer
	last   uint64
	// answered, if not nil, is called by read after each answer with the number of answers.
	answered func(n int)
}

// serve starts a worker on sockets with the smallest buffers that the system allows. It ends with the test. prepare, if
// given, changes the worker before it reads.
func serve(t *testing.T, prepare ...func(w *process)) *client {
	t.Helper()
	a, b, err := socketpair.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{a, b} {
		for _, opt := range []int{syscall.SO_SNDBUF, syscall.SO_RCVBUF} {
			if err := syscall.SetsockoptInt(int(f.Fd()), syscall.SOL_SOCKET, opt, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	theirs, err := nonblock.NewSocket(b)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, w: newProcess(theirs, 0)}
	for _, f := range prepare {
		f(c.w)
	}
	if c.socket, err = nonblock.NewSocket(a); err != nil {
		t.Fatal(err)
	}
	c.out = link.NewWriter(c.socket)
	ended := make(chan error, 1)
	go func() { ended <- c.w.serve(true) }()
	t.Cleanup(func() {
		c.socket.Close()
		<-ended
	})
	return c
}

// send sends a frame and returns when the socket has accepted it.
func (c *client) send(typ link.Type, id uint64, put func(e *link.Encoder)) {
	var e link.Encoder
	e.Begin(typ, id)
	if put != nil {
		put(&e)
	}
	if err := c.out.Write(e.Frame()); err != nil {
		c.t.Error(err)
	}
}

// load has the worker serve a script.
func (c *client) load(id object.ID, source string, limits object.Limits) {
	c.last++
	number := c.last
	c.send(link.Libs, 0, func(e *link.Encoder) { e.Uint(number); e.Uint(0) })
	c.send(link.Load, 0, func(e *link.Encoder) {
		e.PutVersion(&link.Version{
			Number: number,
			Libs:   number,
			ID:     id,
			File:   "x.lua",
			Limits: limits.WithDefaults(),
			Source: []byte(source),
		})
	})
	c.send(link.Use, 0, func(e *link.Encoder) { e.Uint(number) })
}

// call sends a call without arguments and returns its request.
func (c *client) call(id object.ID, m object.Method, conn uint64) uint64 {
	c.last++
	n := c.last
	payload := fmt.Sprintf("# serpent utf-8 python3.2\n(%q,%q,(),{})", id, m)
	c.send(link.Call, n, func(e *link.Encoder) {
		e.PutCall(&object.Call{
			ID:      id,
			Kind:    object.Invoke,
			Method:  m,
			Conn:    conn,
			Format:  "pyro5/serpent",
			Payload: []byte(payload),
		})
	})
	return n
}

// answer is the end of a call.
type answer struct {
	text string // the result, or the error
	err  bool
	gone bool // withdrawn
}

// read reads the worker's frames until there have been n answers and fails the test if one comes twice.
func (c *client) read(n int, other func(typ link.Type, id uint64, body []byte)) map[uint64]answer {
	c.t.Helper()
	answers := map[uint64]answer{}
	in, err := link.NewReader(c.socket, func(typ link.Type, id uint64, body []byte) error {
		d := link.Decoder{B: bytes.Clone(body)}
		var a answer
		switch typ {
		case link.Reply:
			r, _, failed := d.ReplyFields()
			a = answer{text: string(r.Payload), err: r.Exception}
			if failed != nil {
				a = answer{text: failed.Msg, err: true}
			}
		case link.Withdrawn:
			a = answer{gone: true}
		default:
			if other != nil {
				other(typ, id, body)
			}
			return nil
		}
		if _, ok := answers[id]; ok {
			c.t.Errorf("request %d is answered twice", id)
		}
		answers[id] = a
		if c.answered != nil {
			c.answered(len(answers))
		}
		if len(answers) == n {
			return errRehearsed
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := in.Run(false); err != errRehearsed {
		c.t.Fatalf("after %d of %d answers: %v", len(answers), n, err)
	}
	return answers
}

const counter = `
local Counter = hearth.object { instance = "single" }
function Counter:init() self.n = 0 end
function Counter.expose:inc() self.n = self.n + 1 return self.n end
function Counter.expose:spin()
	self.n = self.n + 1
	local t = os.clock()
	while os.clock() - t < 0.05 do end
	return self.n
end
return Counter`

// TestWorkerReadsWhileItIsNotRead has a host send frames without reading. The worker accepts all frames, and the host
// then reads all answers.
func TestWorkerReadsWhileItIsNotRead(t *testing.T) {
	c := serve(t)
	c.load("acme.counter", counter, object.Limits{Queue: 10})
	const each = 500 // the answers of the first few fill the socket
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range each {
			c.call("acme.unknown", "m", 1)
			c.call("acme.counter", "inc", 1) // some for a full queue
			c.send(link.Ping, c.last, nil)
		}
	}()
	select {
	case <-sent:
	case <-time.After(time.Minute):
		c.socket.Close()
		t.Fatal("the worker does not read while its writes block")
	}
	pongs := 0
	executed := 0
	for id, a := range c.read(2*each, func(typ link.Type, _ uint64, _ []byte) {
		if typ == link.Pong {
			pongs++
		}
	}) {
		switch {
		case !a.err:
			executed++
		case a.text != "unknown object" && !strings.HasSuffix(a.text, "not executed"):
			t.Errorf("call %d: %q", id, a.text)
		}
	}
	c.call("acme.counter", "inc", 1)
	for _, a := range c.read(1, nil) {
		if n, err := strconv.Atoi(text(a)); err != nil || n != executed+1 {
			t.Errorf("%d answers report a run, the object counted %q", executed, a.text)
		}
	}
	if pongs == 0 {
		t.Error("no ping was answered")
	}
}

// text returns a result without serpent's header.
func text(a answer) string {
	_, v, _ := strings.Cut(a.text, "\n")
	return v
}

// TestExecutedInWorker makes calls, withdraws some and replaces the version at random times. Each call is answered
// once, and the object has executed exactly the calls whose answer is a result.
func TestExecutedInWorker(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 2))
		c := serve(t)
		load := func() {
			const handover = `
				function Counter:handover() return self.n end
				function Counter:init(n) self.n = n or 0 end
				return Counter`
			c.load("acme.counter", strings.Replace(counter, "return Counter", handover, 1), object.Limits{Queue: 5})
		}
		load()
		const calls = 150
		var all sync.WaitGroup
		all.Go(func() {
			for range calls {
				id := c.call("acme.counter", []object.Method{"inc", "spin"}[min(random.IntN(10), 1)^1], 1)
				switch random.IntN(6) {
				case 0:
					c.send(link.Withdraw, id, nil)
				case 1:
					c.send(link.Withdraw, max(id, 5)-4, nil)
				case 2:
					if random.IntN(10) == 0 {
						load()
					}
				}
			}
		})
		executed, withdrawn, refused := 0, 0, 0
		for id, a := range c.read(calls, nil) {
			switch {
			case a.gone:
				withdrawn++
			case !a.err:
				executed++
			case strings.HasSuffix(a.text, "not executed"):
				refused++
			default:
				t.Errorf("seed %d: call %d: %q", seed, id, a.text)
			}
		}
		all.Wait()
		c.call("acme.counter", "inc", 1)
		for _, a := range c.read(1, nil) {
			if n, err := strconv.Atoi(text(a)); err != nil || n != executed+1 {
				t.Errorf("seed %d: %d answers report a run, the object counted %q", seed, executed, a.text)
			}
		}
		t.Logf("seed %d: %d executed, %d withdrawn, %d refused", seed, executed, withdrawn, refused)
	}
}
