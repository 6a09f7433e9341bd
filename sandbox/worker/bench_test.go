package worker

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/worker/memory"
)

// benchWorker is the argument that makes the test binary a worker for a benchmark.
const benchWorker = "bench-worker"

func TestMain(m *testing.M) {
	if slices.Contains(os.Args[1:], benchWorker) {
		serveBench()
		return
	}
	os.Exit(m.Run())
}

// serveBench is Main without confinement.
func serveBench() {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(memory.RelaxedGCPercent)
	conn, err := nonblock.NewSocket(os.NewFile(SocketFD, "link"))
	if err == nil {
		err = newProcess(conn, 512<<20).serve(true)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// benchHost is the host of a worker in another process. It sends the next calls in one write after each read.
type benchHost struct {
	b      *testing.B
	pid    int
	fd     int
	buf    []byte
	end    int
	out    []byte
	calls  [][]byte // frames to choose from, by turns
	last   uint64
	answer []byte // reply to an object call
}

func newBenchHost(b *testing.B) *benchHost {
	b.Helper()
	ours, theirs, err := socketpair.Files()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], benchWorker)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	theirs.Close()
	h := &benchHost{b: b, pid: cmd.Process.Pid, fd: int(ours.Fd()), buf: make([]byte, 1<<20)} // Fd makes it blocking
	b.Cleanup(func() {
		ours.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	return h
}

// object loads a script.
func (h *benchHost) object(number uint64, id object.ID, source string) {
	put := func(typ link.Type, f func(e *link.Encoder)) {
		var e link.Encoder
		e.Begin(typ, 0)
		f(&e)
		h.out = append(h.out, e.Frame()...)
	}
	put(link.Libs, func(e *link.Encoder) { e.Uint(number); e.Uint(0) })
	put(link.Load, func(e *link.Encoder) {
		e.PutVersion(&link.Version{
			Number: number, Libs: number, ID: id, File: "x.lua", Source: []byte(source),
			Limits: object.Limits{}.WithDefaults(),
		})
	})
	put(link.Use, func(e *link.Encoder) { e.Uint(number) })
	h.flush()
}

// call adds a frame to choose from.
func (h *benchHost) call(c *object.Call) {
	var e link.Encoder
	e.Begin(link.Call, 0)
	e.PutCall(c)
	h.calls = append(h.calls, e.Frame())
}

func (h *benchHost) flush() {
	for p := h.out; len(p) > 0; {
		n, err := syscall.Write(h.fd, p)
		if err != nil {
			h.b.Fatal(err)
		}
		p = p[n:]
	}
	h.out = h.out[:0]
}

const benchHead = 13 // of a frame

// next appends the next call to out.
func (h *benchHost) next() {
	f := h.calls[h.last%uint64(len(h.calls))]
	h.last++
	at := len(h.out)
	h.out = append(h.out, f...)
	binary.LittleEndian.PutUint64(h.out[at+5:], h.last)
}

// read waits for frames and calls reply with each.
func (h *benchHost) read(reply func(typ link.Type, id uint64, body []byte)) {
	n, err := syscall.Read(h.fd, h.buf[h.end:])
	if n <= 0 || err != nil {
		h.b.Fatalf("read: %d, %v", n, err)
	}
	h.end += n
	start := 0
	for h.end-start >= benchHead {
		size := 4 + int(binary.LittleEndian.Uint32(h.buf[start:]))
		if h.end-start < size {
			break
		}
		f := h.buf[start : start+size]
		reply(link.Type(f[4]), binary.LittleEndian.Uint64(f[5:]), f[benchHead:])
		start += size
	}
	h.end = copy(h.buf, h.buf[start:h.end])
}

// run makes n calls with some in flight.
func (h *benchHost) run(n, inFlight int) {
	sent, done := 0, 0
	for ; sent < min(n, inFlight); sent++ {
		h.next()
	}
	h.flush()
	for done < n {
		h.read(func(typ link.Type, id uint64, body []byte) {
			if typ == link.HostCall {
				at := len(h.out)
				h.out = append(h.out, h.answer...)
				binary.LittleEndian.PutUint64(h.out[at+5:], id)
				return
			}
			d := link.Decoder{B: body}
			r, _, failed := d.ReplyFields()
			if typ != link.Reply || failed != nil || r.Exception {
				h.b.Fatalf("frame of type %d: %+v, %v, %s", typ, r, failed, r.Payload)
			}
			done++
			if sent < n {
				sent++
				h.next()
			}
		})
		h.flush()
	}
}

// cpu returns the processor time that the worker's threads have used, in nanoseconds.
func (h *benchHost) cpu() (ns float64) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", h.pid))
	if err != nil || len(files) == 0 {
		h.b.Skip("the system does not count the processor time of threads")
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		n, _ := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
		ns += n
	}
	return ns
}

// BenchmarkWorker makes calls of a worker in another process. worker-ns/op is the processor time of the worker per
// call, system calls included.
func BenchmarkWorker(b *testing.B) {
	const script = `
local O = hearth.object { instance = "MODE" }
function O:init() self.n = 0 end
function O.expose:add(a, b) return a + b end
function O.expose:echo(s) return s end
function O.expose:loop(n) local s = 0 for i = 1, n do s = s + i end return s end
function O.expose:wait() return hearth.proxy("acme.gate"):pass() end
return O`
	for _, bench := range []struct {
		name   string
		mode   object.InstanceMode
		method object.Method
		args   []any
	}{
		{"add", object.PerCall, "add", []any{1, 2}},
		{"echo1k", object.PerCall, "echo", []any{strings.Repeat("text ", 200)}},
		{"single", object.Single, "add", []any{1, 2}},
		{"session", object.Session, "add", []any{1, 2}},
		{"loop10k", object.PerCall, "loop", []any{10_000}},
		{"wait", object.PerCall, "wait", nil},
	} {
		for _, inFlight := range []int{1, 50} {
			b.Run(fmt.Sprintf("%s/%d", bench.name, inFlight), func(b *testing.B) {
				h := newBenchHost(b)
				h.object(1, "acme.o", strings.Replace(script, "MODE", string(bench.mode), 1))
				for conn := range 50 {
					c := newCall("acme.o", bench.method, codec.Serpent, bench.args...)
					c.Conn = uint64(conn)
					h.call(c)
				}
				var e link.Encoder
				e.Begin(link.HostReply, 0)
				e.PutServiceReply(link.ServiceReply{Kind: link.ObjectValue, Payload: []byte("1")}, nil)
				h.answer = append(h.answer, e.Frame()...)
				h.run(2000, inFlight) // until the worker is warm
				before := h.cpu()
				b.ResetTimer()
				h.run(b.N, inFlight)
				b.StopTimer()
				b.ReportMetric((h.cpu()-before)/float64(b.N), "worker-ns/op")
			})
		}
	}
}
