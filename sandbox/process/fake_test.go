package process

import (
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/schedstat"
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/script"
	"github.com/hearthhost/hearth/service/objectcall"
)

// fake is a worker process whose end of the link a test controls.
type fake struct {
	out    *link.Writer
	ended  chan struct{} // closed when the host has killed it
	kill   sync.Once
	socket *nonblock.Socket
	times  atomic.Pointer[schedstat.Times] // nil: the system does not report it
	reads  atomic.Int32                    // calls of Times
}

func (f *fake) Times() (schedstat.Times, bool) {
	f.reads.Add(1)
	if t := f.times.Load(); t != nil {
		return *t, true
	}
	return schedstat.Times{}, false
}

func (f *fake) PID() int                        { return 0 }
func (f *fake) Kill()                           { f.kill.Do(func() { close(f.ended) }) }
func (f *fake) Wait() (*os.ProcessState, error) { return nil, nil }

// send sends a frame as the worker does.
func (f *fake) send(t *testing.T, typ link.Type, id uint64, put func(e *link.Encoder)) {
	t.Helper()
	var e link.Encoder
	e.Begin(typ, id)
	if put != nil {
		put(&e)
	}
	if err := f.out.Write(e.Frame()); err != nil {
		t.Error(err)
	}
}

// tiny sets the smallest socket buffers that the system allows.
func tiny(t *testing.T, files ...*os.File) {
	t.Helper()
	for _, f := range files {
		for _, opt := range []int{syscall.SO_SNDBUF, syscall.SO_RCVBUF} {
			if err := syscall.SetsockoptInt(int(f.Fd()), syscall.SOL_SOCKET, opt, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// frameHandler handles the frames that a fake worker receives.
type frameHandler func(f *fake, typ link.Type, id uint64, body []byte) error

// startFake returns a running worker of a tenant, with tiny buffers. handle receives its frames; with nil it does not
// read.
func startFake(t *testing.T, tenant *tenant, handle frameHandler) (*Process, *fake) {
	t.Helper()
	return startFakeOn(t, tenant, handle, tiny)
}

// startFakeOn is startFake with sockets that set prepares.
func startFakeOn(t *testing.T, tenant *tenant, handle frameHandler,
	set func(*testing.T, ...*os.File)) (*Process, *fake) {
	t.Helper()
	a, b, err := socketpair.Files()
	if err != nil {
		t.Fatal(err)
	}
	set(t, a, b)
	ours, err := nonblock.NewSocket(a)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := nonblock.NewSocket(b)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{out: link.NewWriter(theirs), ended: make(chan struct{}), socket: theirs}
	p, err := newProcess(tenant.cfg, tenant, f, ours)
	if err != nil {
		t.Fatal(err)
	}
	reading := make(chan struct{})
	if handle == nil {
		close(reading)
	} else {
		in, err := link.NewReader(theirs, func(typ link.Type, id uint64, body []byte) error {
			return handle(f, typ, id, body)
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() { defer close(reading); _ = in.Run(false) }()
	}
	go p.read(io.LimitReader(strings.NewReader(""), 0))
	t.Cleanup(func() {
		theirs.Close()
		<-reading
		<-p.done
	})
	return p, f
}

// tenant is the owner of a process, with one object, acme.x.
type tenant struct {
	cfg     Config
	secrets map[object.ID]map[string]string

	mu       sync.Mutex // guards the fields below
	versions map[object.ID]*script.Version
	causes   []error // of ended processes
}

// newTenant returns a tenant with one object, acme.x.
func newTenant(cfg Config, limits object.Limits) *tenant {
	cfg.Tenant = "acme"
	return &tenant{cfg: cfg.WithDefaults(), versions: map[object.ID]*script.Version{
		"acme.x": script.NewVersion("acme.x", script.Script{}, script.NewLibs(nil), limits),
	}}
}

// Version implements [Owner].
func (t *tenant) Version(id object.ID) *script.Version { return t.Versions()[id] }

// Versions implements [Owner].
func (t *tenant) Versions() map[object.ID]*script.Version {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.versions
}

// use replaces the versions in use.
func (t *tenant) use(all ...*script.Version) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.versions = map[object.ID]*script.Version{}
	for _, v := range all {
		t.versions[v.ID] = v
	}
}

// Secrets implements [Owner].
func (t *tenant) Secrets(id object.ID) (map[string]string, bool) {
	values, ok := t.secrets[id]
	return values, ok
}

// Redact implements [Owner].
func (t *tenant) Redact(text string) string { return text[:min(len(text), link.MaxLogLineBytes)] }

// Retire implements [Owner].
func (t *tenant) Retire(_ *Process, stop func() bool) bool { return stop() }

// Exited implements [Owner].
func (t *tenant) Exited(_ *Process, cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.causes = append(t.causes, cause)
}

// ended returns the causes of the ends of processes.
func (t *tenant) ended() []error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.causes
}

// objectCalls returns the services of a host that offers object calls only.
func objectCalls(call objectcall.Caller) []hostcall.Service {
	return []hostcall.Service{objectcall.New(call)}
}

// reply answers a call as the worker does.
func (f *fake) reply(t *testing.T, id uint64) {
	t.Helper()
	f.send(t, link.Reply, id, func(e *link.Encoder) { e.PutReply(object.Reply{Payload: []byte("done")}, true, nil) })
}
