//go:build linux

package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/systemd"
	"github.com/hearthhost/hearth/transport"
)

// testTimeout limits a step that must happen.
const testTimeout = time.Minute

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// process is a parent in the test's process.
type process struct {
	dir      string
	server   *fakeServer
	upgrader *Upgrader
	requests chan os.Signal
	manager  *net.UnixConn // receives the messages for the service manager
	shutdown context.CancelFunc
	serving  context.Context
	wait     func()
	log      bytes.Buffer // read it after wait
}

// newProcess starts a process whose children have a behaviour.
func newProcess(t *testing.T, behaviour string) *process {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	p := &process{dir: t.TempDir(), requests: make(chan os.Signal, 1)}
	lock, err := LockState(t.Context(), p.dir, nil)
	must(t, err)
	t.Cleanup(func() { lock.Release(true) })
	audit, err := os.Create(filepath.Join(p.dir, "audit"))
	must(t, err)
	t.Cleanup(func() { audit.Close() })
	_, err = audit.WriteString("record")
	must(t, err)
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	ln, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	notify := filepath.Join(p.dir, "notify")
	p.manager, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { p.manager.Close() })
	p.server = &fakeServer{lock: lock, socket: ln.(*net.TCPListener), audit: audit, retired: make(chan []string, 1)}
	log := slog.New(slog.NewTextHandler(&p.log, nil))
	p.upgrader = New(Config{
		Server:   p.server,
		Signals:  &Signals{upgrade: p.requests},
		Notifier: systemd.NewNotifier(systemd.Environment{Notify: notify}, log),
		Status:   func() string { return "STATUS=parent" },
		Log:      log,
		Version:  "v1",
		Program:  exe,
		Args:     []string{exe, behaviour, p.dir},
	})
	must(t, p.upgrader.Begin(t.Context()))
	p.serving, p.shutdown = context.WithCancel(context.Background())
	p.wait = p.upgrader.Run(p.serving, p.shutdown)
	t.Cleanup(func() { p.shutdown(); p.wait() })
	return p
}

// messages returns the messages for the service manager up to one that contains last.
func (p *process) messages(t *testing.T, last string) string {
	t.Helper()
	must(t, p.manager.SetReadDeadline(time.Now().Add(testTimeout)))
	var all strings.Builder
	b := make([]byte, 4096)
	for {
		n, err := p.manager.Read(b)
		if err != nil {
			t.Fatalf("no message %q after:\n%s", last, all.String())
		}
		all.Write(b[:n])
		all.WriteByte('\n')
		if bytes.Contains(b[:n], []byte(last)) {
			return all.String()
		}
	}
}

// TestUpgrade hands over to a child, which accepts a connection of the parent's socket and shuts down: the parent
// then shuts down too.
func TestUpgrade(t *testing.T) {
	p := newProcess(t, "serve")
	addr := p.server.socket.Addr().String()
	c, err := net.Dial("tcp", addr) // in the queue of the socket, which neither process closes
	must(t, err)
	defer c.Close()
	p.requests <- syscall.SIGUSR2
	if got := <-p.server.retired; !slices.Equal(got, []string{"local"}) {
		t.Errorf("Retire(%q), want the listener with the passed socket", got)
	}
	text, err := io.ReadAll(c)
	if err != nil || string(text) != "record, owner true" {
		t.Errorf("the child answers %q, %v", text, err)
	}
	p.messages(t, "RELOADING=1")
	sent := p.messages(t, "STOPPING=1")
	if !strings.Contains(sent, "MAINPID=") || !strings.Contains(sent, "STATUS=child") {
		t.Errorf("messages for the service manager:\n%s", sent)
	}
	r, err := FindRunning(p.dir)
	if err != nil || r == nil || r.Version != "v2" || r.Upgrades != 1 || r.Failure != "" || r.PID == os.Getpid() {
		t.Errorf("FindRunning() = %+v, %v", r, err)
	}
	select {
	case <-p.serving.Done():
	case <-time.After(testTimeout):
		t.Fatal("the parent did not shut down")
	}
	p.wait()
	if p.server.has("end handoff") || strings.Contains(p.log.String(), "level=ERROR") {
		t.Errorf("calls %v, log:\n%s", p.server.calls, &p.log)
	}
}

// TestChildDies: a child that ends after it took over ends the parent, which accepts nothing any longer.
func TestChildDies(t *testing.T) {
	p := newProcess(t, "crash")
	p.requests <- syscall.SIGUSR2
	<-p.server.retired
	select {
	case <-p.serving.Done():
	case <-time.After(testTimeout):
		t.Fatal("the parent did not shut down")
	}
	p.wait()
	if !strings.Contains(p.log.String(), "the new process has ended; this one ends too") {
		t.Errorf("log:\n%s", &p.log)
	}
}

// TestFailedUpgrade: after every failure of a child the parent serves as before and announces the failure.
func TestFailedUpgrade(t *testing.T) {
	for behaviour, want := range map[string]string{
		"report":  "the policy has an error",
		"exit":    "the new process ended before it was ready (exit status 7; see its output)",
		"garbage": "the new process ended before it was ready",
	} {
		p := newProcess(t, behaviour)
		p.messages(t, "STATUS=parent")
		p.requests <- syscall.SIGUSR2
		p.messages(t, "STATUS=parent") // after the failure
		r, err := FindRunning(p.dir)
		if err != nil || r == nil || r.PID != os.Getpid() || r.Upgrades != 1 || r.Failure != want {
			t.Errorf("%s: FindRunning() = %+v, %v; want failure %q", behaviour, r, err, want)
		}
		if !p.server.has("end handoff") || len(p.server.retired) > 0 || p.serving.Err() != nil {
			t.Errorf("%s: calls %v, serving: %v", behaviour, p.server.calls, p.serving.Err())
		}
	}
}

// TestProgramOfAnotherUser: no child is started from a program that others can change.
func TestProgramOfAnotherUser(t *testing.T) {
	p := newProcess(t, "serve")
	p.messages(t, "STATUS=parent")
	program := filepath.Join(p.dir, "program")
	must(t, os.WriteFile(program, nil, 0o755))
	must(t, os.Chmod(program, 0o757))
	p.upgrader.Program = program
	p.requests <- syscall.SIGUSR2
	p.messages(t, "STATUS=parent")
	if r, err := FindRunning(p.dir); err != nil || !strings.Contains(r.Failure, "run chmod o-w "+program) {
		t.Errorf("FindRunning() = %+v, %v", r, err)
	}
	if p.server.has("handoff") {
		t.Error("files were handed over")
	}
}

// TestShutdownDuringUpgrade: a parent that shuts down does not wait for its child to become ready.
func TestShutdownDuringUpgrade(t *testing.T) {
	p := newProcess(t, "silent")
	p.requests <- syscall.SIGUSR2
	p.messages(t, "RELOADING=1")
	p.shutdown()
	p.wait()
	if !p.server.has("end handoff") && p.server.has("handoff") || len(p.server.retired) > 0 {
		t.Errorf("calls %v, log:\n%s", p.server.calls, &p.log)
	}
}

// TestParentEnds: a child serves only after the parent's message, and after no other input.
func TestParentEnds(t *testing.T) {
	for _, answer := range []string{"", "{}\n", `{"exit":true}` + "\n", "garbage\n"} {
		ours, theirs := net.Pipe()
		p := &Parent{conn: theirs, in: json.NewDecoder(theirs), exited: make(chan struct{})}
		go func() {
			var msg readyMsg
			_ = json.NewDecoder(ours).Decode(&msg)
			_, _ = io.WriteString(ours, answer)
			ours.Close()
		}()
		if err := p.ready(t.Context(), "v2", nil); err == nil || p.proceeded {
			t.Errorf("ready() after %q = %v", answer, err)
		}
	}
}

// TestUnknownFields: a parent and a child of other versions may send more fields.
func TestUnknownFields(t *testing.T) {
	ours, theirs := net.Pipe()
	p := &Parent{conn: theirs, in: json.NewDecoder(theirs), exited: make(chan struct{})}
	go func() {
		var msg readyMsg
		_ = json.NewDecoder(ours).Decode(&msg)
		_, _ = io.WriteString(ours, `{"later":[1,2],"proceed":true}`+"\n")
	}()
	if err := p.ready(t.Context(), "v2", nil); err != nil {
		t.Errorf("ready() = %v", err)
	}
}

func TestAcceptRejects(t *testing.T) {
	own, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(t, err)
	defer syscall.Close(own[0])
	defer syscall.Close(own[1])
	null, err := os.Open(os.DevNull)
	must(t, err)
	defer null.Close()
	for text, want := range map[string]string{
		"":                           "is not the number",
		"x":                          "is not the number",
		"2":                          "is not the number",
		"99999":                      "reading the peer of descriptor 99999",
		strconv.Itoa(int(null.Fd())): "reading the peer",
		strconv.Itoa(own[0]):         "not this process's parent",
	} {
		_, _, err := Accept(text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), EnvFD) {
			t.Errorf("Accept(%q) = %v, want %q", text, err, want)
		}
	}
}

// socket returns a listening socket and its address.
func socket(t *testing.T, name string) (transport.Socket, string) {
	t.Helper()
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	ln, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return transport.Socket{Name: name, File: f}, ln.Addr().String()
}

func TestAssign(t *testing.T) {
	for _, tc := range []struct {
		name      string
		parent    int               // 0: a service manager
		sockets   []string          // names
		listeners map[string]string // address by name; "0", "1": of that socket
		want      map[string]int    // index of the socket by listener
		err       string
	}{
		{
			name: "by name and address", parent: 1, err: "",
			sockets: []string{"a", "b"}, listeners: map[string]string{"a": "0", "b": "1"},
			want: map[string]int{"a": 0, "b": 1},
		},
		{
			name: "by address alone", parent: 1, err: "",
			sockets: []string{"old"}, listeners: map[string]string{"new": "0"}, want: map[string]int{"new": 0},
		},
		{
			name: "any port by name", parent: 1, err: "",
			sockets: []string{"a", "b"}, listeners: map[string]string{"b": "127.0.0.1:0"}, want: map[string]int{"b": 1},
		},
		{
			name: "any port of another name", parent: 1, err: "",
			sockets: []string{"a"}, listeners: map[string]string{"b": "127.0.0.1:0"},
		},
		{
			name: "left over of a parent", parent: 1, err: "",
			sockets: []string{"a", "b"}, listeners: map[string]string{"a": "0"}, want: map[string]int{"a": 0},
		},
		{
			name: "unnamed of a manager", parent: 0, err: "",
			sockets: []string{""}, listeners: map[string]string{"a": "127.0.0.1:0"}, want: map[string]int{"a": 0},
		},
		{
			name: "left over of a manager", parent: 0, err: "which is no listener of the policy",
			sockets: []string{"a", ""}, listeners: map[string]string{"a": "0"},
		},
		{
			name: "other address of a manager", parent: 0, err: "write the policy's address",
			sockets: []string{"a"}, listeners: map[string]string{"a": "127.0.0.2:1"},
		},
	} {
		h := Handoff{ParentPID: tc.parent}
		var addrs []string
		for _, name := range tc.sockets {
			s, addr := socket(t, name)
			h.Sockets = append(h.Sockets, s)
			addrs = append(addrs, addr)
		}
		var listeners []Listener
		for _, name := range []string{"a", "b", "new"} {
			addr, ok := tc.listeners[name]
			if !ok {
				continue
			}
			if len(addr) == 1 {
				addr = addrs[addr[0]-'0']
			}
			listeners = append(listeners, Listener{name, addr})
		}
		got, err := h.Assign(listeners)
		if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: Assign() = %v, want %q", tc.name, err, tc.err)
		}
		if len(got) != len(tc.want) {
			t.Errorf("%s: %d sockets were assigned, want %d", tc.name, len(got), len(tc.want))
		}
		for i, s := range h.Sockets {
			open := s.File.Fd() != ^uintptr(0)
			assigned := false
			for listener, index := range tc.want {
				assigned = assigned || index == i && got[listener] != nil && got[listener].File == s.File
			}
			if open != assigned {
				t.Errorf("%s: socket %d: open %t, assigned %t", tc.name, i, open, assigned)
			}
		}
	}
}

func TestStateLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if r, err := FindRunning(dir); r != nil || err != nil {
		t.Errorf("FindRunning() without a folder = %v, %v", r, err)
	}
	lock, err := LockState(t.Context(), dir, nil)
	must(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := LockState(ended, dir, nil); err == nil || !strings.Contains(err.Error(), "another host runs") {
		t.Errorf("a second LockState() = %v", err)
	}
	if _, err := FindRunning(dir); err == nil || !strings.Contains(err.Error(), "starts or ends") {
		t.Errorf("FindRunning() before Announce = %v", err)
	}
	must(t, lock.Announce(Running{PID: os.Getpid(), Version: "v1"}))
	if r, err := FindRunning(dir); err != nil || r.Version != "v1" || int(r.UID) != os.Getuid() {
		t.Errorf("FindRunning() = %+v, %v", r, err)
	}
	duplicate, err := lock.Duplicate()
	must(t, err)
	lock.HandOver()
	lock.Release(true)
	if r, err := FindRunning(dir); err != nil || r == nil {
		t.Errorf("FindRunning() after the parent's Release = %v, %v; want the child's description", r, err)
	}
	child, err := LockState(ended, dir, duplicate)
	must(t, err)
	child.Release(true)
	if r, err := FindRunning(dir); r != nil || err != nil {
		t.Errorf("FindRunning() after the last Release = %v, %v", r, err)
	}
	// The lock of another folder is of no use.
	other, err := LockState(t.Context(), t.TempDir(), nil)
	must(t, err)
	defer other.Release(true)
	duplicate, err = other.Duplicate()
	must(t, err)
	lock, err = LockState(t.Context(), dir, duplicate)
	must(t, err)
	lock.Release(true)
	if _, err := duplicate.Stat(); err == nil {
		t.Error("the inherited lock of another folder is still open")
	}
}

// TestRequest: Request signals the process that the state folder names, and returns its result.
func TestRequest(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Request(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "no host runs") {
		t.Errorf("Request() without a host = %v", err)
	}
	lock, err := LockState(t.Context(), dir, nil)
	must(t, err)
	defer lock.Release(true)
	requests := make(chan os.Signal, 1)
	signal.Notify(requests, syscall.SIGUSR2)
	defer signal.Stop(requests)
	for _, failure := range []string{"", "no memory"} {
		must(t, lock.Announce(Running{PID: os.Getpid(), Version: "v1", Upgrades: 3}))
		done := make(chan error, 1)
		go func() {
			<-requests
			done <- lock.Announce(Running{PID: os.Getpid(), Version: "v2", Upgrades: 4, Failure: failure})
		}()
		before, after, err := Request(t.Context(), dir)
		must(t, <-done)
		switch {
		case failure == "" && (err != nil || before.Version != "v1" || after.Version != "v2"):
			t.Errorf("Request() = %+v, %+v, %v", before, after, err)
		case failure != "" && (err == nil || !strings.Contains(err.Error(), "still serves: no memory")):
			t.Errorf("Request() = %v, want the failure", err)
		}
	}
	// A process of another user is not signalled, even by root.
	r := Running{PID: os.Getpid(), UID: uint32(os.Getuid()) + 1}
	if err := r.signal(); err == nil || !strings.Contains(err.Error(), "is not the host of uid") {
		t.Errorf("signal() of another user's process = %v", err)
	}
}
