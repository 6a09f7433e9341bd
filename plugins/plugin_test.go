//go:build linux

package plugins_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/plugins/launch"
)

// built is the folder of the plugins of these tests, which the variable of this name has
// where they are built already.
var built string

const builtVariable = "HEARTH_TEST_PLUGINS"

// The test binary is its own shim, as hearth is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "shim":
			os.Exit(launch.Shim())
		case "shim-moved":
			os.Exit(shimOnAnotherThread())
		case "host":
			os.Exit(shortLivedHost())
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "plugins")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if already, ok := syscall.Getenv(builtVariable); ok {
		built = already
		return m.Run()
	}
	built = dir
	if err := os.Chmod(dir, 0o755); err != nil {
		panic(err)
	}
	cmd := exec.Command("go", "build", "-o", dir+"/", "./examples/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, out))
	}
	return m.Run()
}

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// prepare copies a built plugin to a new folder under the given name, and returns the configuration to run it.
func prepare(t testing.TB, name, from string) (plugins.Config, *logged) {
	t.Helper()
	dir, err := os.MkdirTemp("", "p") //nolint:usetesting // the names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, name)
	src, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, src, 0o755); err != nil {
		t.Fatal(err)
	}
	sum, err := binary.Sum(path)
	if err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	id := object.ID("acme." + name)
	return plugins.Config{
		ID:      id,
		Path:    path,
		SHA256:  sum,
		Objects: []object.ID{id},
		Shim:    []string{os.Args[0], "shim"},
		Dir:     dir,
		Log:     slog.New(slog.NewTextHandler(log, nil)),
	}, log
}

// runs returns the backend of cfg, which is closed with the test.
func runs(t testing.TB, cfg plugins.Config) *plugins.Plugin {
	t.Helper()
	p := plugins.New(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

func misbehaving(t testing.TB, name string) (*plugins.Plugin, *logged) {
	t.Helper()
	cfg, log := prepare(t, name, filepath.Join(built, "misbehave"))
	return runs(t, cfg), log
}

func newCall(id object.ID, method string, args ...any) *object.Call {
	payload, err := pyro.AppendCall(codec.ByID(codec.Serpent), nil, string(id), method, args, nil, false)
	if err != nil {
		panic(err)
	}
	return &object.Call{
		ID:       id,
		Kind:     object.Invoke,
		Method:   object.Method(method),
		Format:   "pyro5/serpent",
		Caller:   object.Caller{Principal: "alice"},
		Conn:     1,
		Deadline: time.Now().Add(20 * time.Second),
		Payload:  payload,
	}
}

// errReply is the error of call for a reply that is not a value.
var errReply = errors.New("the reply cannot be read")

// call calls a method and reads the reply.
func call(p *plugins.Plugin, id object.ID, method string, args ...any) (any, error) {
	r, err := p.Invoke(context.Background(), newCall(id, method, args...))
	if err != nil {
		return nil, err
	}
	v, err := codec.Unmarshal(codec.ByID(codec.Serpent), r.Payload, codec.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReply, err)
	}
	return v, nil
}

func invoke(t testing.TB, p *plugins.Plugin, id object.ID, method string, args ...any) (any, error) {
	t.Helper()
	v, err := call(p, id, method, args...)
	if errors.Is(err, errReply) {
		t.Fatal(err)
	}
	return v, err
}

func answers(t testing.TB, p *plugins.Plugin, id object.ID) {
	t.Helper()
	if v, err := invoke(t, p, id, "echo", int64(42)); err != nil || v != int64(42) {
		t.Errorf("%s: echo(42) = %v, %v", id, v, err)
	}
}

func wantCode(t testing.TB, err error, code object.Code, text string) {
	t.Helper()
	if object.CodeOf(err) != code || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("error = %v, want code %v and %q", err, code, text)
	}
}

// TestCauses names each reason for which a plugin does not start.
func TestCauses(t *testing.T) {
	script := func(text string) func(*plugins.Config) {
		return func(c *plugins.Config) {
			_ = os.WriteFile(c.Path, []byte(text), 0o755)
			c.SHA256, c.Unpinned = "", true
		}
	}
	for _, tc := range []struct {
		name   string
		cause  binary.Cause
		text   string
		change func(*plugins.Config)
	}{
		{"gone", binary.CauseFile, "no such file", func(c *plugins.Config) { os.Remove(c.Path) }},
		{"mode", binary.CauseMode, "chmod +x", func(c *plugins.Config) { _ = os.Chmod(c.Path, 0o644) }},
		{"changed", binary.CausePin, "the policy pins", func(c *plugins.Config) {
			f, _ := os.OpenFile(c.Path, os.O_WRONLY|os.O_APPEND, 0)
			_, _ = f.WriteString("x")
			f.Close()
		}},
		{"unpinned", binary.CausePin, "no SHA-256", func(c *plugins.Config) { c.SHA256 = "" }},
		{"arch", binary.CauseArchitecture, "GOARCH=" + runtime.GOARCH, func(c *plugins.Config) {
			b, _ := os.ReadFile(c.Path)
			b[18], b[19] = 21, 0 // PowerPC
			_ = os.WriteFile(c.Path, b, 0o755)
			c.SHA256, c.Unpinned = "", true
		}},
		{"interpreter", binary.CauseInterpreter, "/nowhere/python", script("#!/nowhere/python\n")},
		{"text", binary.CauseFormat, "neither a program", script("just words, and no program\n")},
		{"shell", binary.CauseInterpreter, "add runtime = ", script("#!/bin/sh\necho hello from a shell\n")},
		{"crashes", binary.CauseCrash, "my last words", nil},
		{"garbles", binary.CauseNotPlugin, "no handshake", nil},
		{"old", binary.CauseVersion, "99", nil},
		{"elsewhere", binary.CauseNotPlugin, "somebody.sock", nil},
		{"netrpc", binary.CauseNotPlugin, "netrpc", nil},
		{"other", binary.CauseDescribe, "none of the objects",
			func(c *plugins.Config) { c.Objects = []object.ID{c.ID + ".x"} }},
		{"deep", binary.CauseSocket, "107", func(c *plugins.Config) { c.Dir += strings.Repeat("/x", 40) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, _ := prepare(t, tc.name, filepath.Join(built, "misbehave"))
			if tc.change != nil {
				tc.change(&cfg)
			}
			_, err := invoke(t, runs(t, cfg), cfg.ID, "echo", int64(1))
			var cause *binary.StartError
			if !errors.As(err, &cause) || cause.Cause != tc.cause || !strings.Contains(cause.Text, tc.text) {
				t.Fatalf("error = %v, want the cause %q with %q", err, tc.cause, tc.text)
			}
			wantCode(t, err, object.CodeUnavailable, "not executed")
		})
	}
}

// TestRefusalIsNoCrash: a file that the host refuses before it starts anything counts as no crash, is logged once and
// is looked at again when it has changed.
func TestRefusalIsNoCrash(t *testing.T) {
	right, err := os.ReadFile(filepath.Join(built, "misbehave"))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(path string) error{
		"changed": func(path string) error { return os.WriteFile(path, []byte("other"), 0o755) },
		"mode":    func(path string) error { return os.Chmod(path, 0o644) },
		"gone":    os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			cfg, log := prepare(t, name, filepath.Join(built, "misbehave"))
			cfg.Account = new(procstat.Processes)
			if err := spoil(cfg.Path); err != nil {
				t.Fatal(err)
			}
			p := runs(t, cfg)
			for range 12 {
				_, err := invoke(t, p, cfg.ID, "echo", int64(1))
				wantCode(t, err, object.CodeUnavailable, "refused until its file or the policy changes; not executed")
			}
			if s := p.Status(); s.Refused == nil || s.Crashes != 0 || s.Wait != 0 || s.Quarantined {
				t.Errorf("status: %+v", s)
			}
			if s := cfg.Account.Spent(); s.Crashes != 0 || s.Starts != 0 {
				t.Errorf("account: %+v", s)
			}
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("%d lines in the log, want 1:\n%s", n, log)
			}
			if err := os.WriteFile(cfg.Path, right, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(cfg.Path, 0o755); err != nil {
				t.Fatal(err)
			}
			answers(t, p, cfg.ID)
			if s := p.Status(); s.Refused != nil {
				t.Errorf("its file is right again, and it is refused: %v", s.Refused)
			}
		})
	}
}

// TestHostile runs hostile plugins. A neighbour plugin continues to answer.
func TestHostile(t *testing.T) {
	neighbour, _ := misbehaving(t, "neighbour")
	const good object.ID = "acme.neighbour"
	answers(t, neighbour, good)
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, p *plugins.Plugin, id object.ID, log *logged)
	}{
		{"crash-in-call", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			_, err := invoke(t, p, id, "crash")
			wantCode(t, err, object.CodeUnavailable, "whether it was executed is unknown")
			eventually(t,
				func() bool { v, err := invoke(t, p, id, "echo", int64(1)); return err == nil && v == int64(1) })
		}},
		{"call-after-crash", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			// A call after the answer reaches another process or is not executed.
			for crashes := 0; crashes < 4; {
				if _, err := invoke(t, p, id, "crash"); !strings.HasSuffix(fmt.Sprint(err), "not executed") {
					wantCode(t, err, object.CodeUnavailable, "whether it was executed is unknown")
					crashes++
				}
				if v, err := invoke(t, p, id, "echo", int64(1)); v != int64(1) &&
					!strings.HasSuffix(fmt.Sprint(err), "not executed") {
					t.Errorf("the call after crash %d: %v, %v", crashes, v, err)
				}
			}
		}},
		{"crash-loop", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			eventually(t, func() bool {
				_, err := invoke(t, p, id, "crash")
				return strings.Contains(fmt.Sprint(err), "is quarantined")
			})
		}},
		{"hangs", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			answers(t, p, id)
			pid := p.Status().PID
			for range 3 {
				c := newCall(id, "hang")
				c.Deadline = time.Now().Add(100 * time.Millisecond)
				_, err := p.Invoke(context.Background(), c)
				wantCode(t, err, object.CodeDeadline, "unknown")
			}
			eventually(t, func() bool { return p.Status().PID != pid && syscall.Kill(pid, 0) != nil })
			eventually(t, func() bool { _, err := invoke(t, p, id, "echo", int64(1)); return err == nil })
		}},
		{"huge", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			_, err := invoke(t, p, id, "huge")
			wantCode(t, err, object.CodeExhausted, "8 MiB")
			answers(t, p, id)
		}},
		{"endless", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			r, err := p.Invoke(context.Background(), newCall(id, "endless"))
			if err != nil || r.Stream == 0 {
				t.Fatalf("%v, %v; want a stream", r, err)
			}
			for range 100 {
				if _, more, err := p.Next(context.Background(), newCall(id, "endless"), r.Stream); err != nil || !more {
					t.Fatal(more, err)
				}
			}
			p.CloseStream(r.Stream)
			eventually(t, func() bool {
				_, _, err := p.Next(context.Background(), newCall(id, "endless"), r.Stream)
				return errors.Is(err, object.ErrStreamGone) || object.CodeOf(err) == object.CodeNotFound
			})
		}},
		{"deaf", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			answers(t, p, id)
			pid := p.Status().PID
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = p.Close(ctx)
			if syscall.Kill(pid, 0) == nil {
				t.Error("it runs on")
			}
		}},
		{"garbage", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			if v, err := invoke(t, p, id, "garbage"); err != nil || v != int64(1600000) {
				t.Error(v, err)
			}
			answers(t, p, id)
		}},
		{"preamble", func(t *testing.T, p *plugins.Plugin, id object.ID, log *logged) {
			answers(t, p, id)
			if !strings.Contains(log.String(), "hello, I am a plugin") {
				t.Errorf("log: %s", log)
			}
		}},
		{"chatter", func(t *testing.T, p *plugins.Plugin, id object.ID, log *logged) {
			if _, err := invoke(t, p, id, "chatter"); err != nil {
				t.Error(err)
			}
			answers(t, p, id)
			if n := strings.Count(log.String(), "text="); n > 1000 {
				t.Errorf("%d lines of 5000 were logged", n)
			}
		}},
		{"leak", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			_, _ = invoke(t, p, id, "leak") // with nothing left, it may not even answer
		}},
		{"panics", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			v, err := invoke(t, p, id, "panic")
			if ex, ok := v.(*codec.Exception); err != nil || !ok || ex.Class != "builtins.RuntimeError" {
				t.Errorf("panic() = %v, %v", v, err)
			}
			answers(t, p, id)
		}},
		{"dies-soon", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			eventually(t, func() bool {
				_, err := invoke(t, p, id, "hang")
				return object.CodeOf(err) == object.CodeUnavailable
			})
		}},
		{"silent", func(t *testing.T, p *plugins.Plugin, id object.ID, _ *logged) {
			c := newCall(id, "echo", int64(1))
			c.Deadline = time.Now().Add(200 * time.Millisecond)
			_, err := p.Invoke(context.Background(), c)
			wantCode(t, err, object.CodeDeadline, "not executed") // it never shakes hands
		}},
		{"double", func(t *testing.T, p *plugins.Plugin, id object.ID, log *logged) {
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() { answers(t, p, id) })
			}
			wg.Wait()
			if n := strings.Count(log.String(), "plugin started"); n != 1 {
				t.Errorf("it was started %d times", n)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, log := misbehaving(t, tc.name)
			tc.do(t, p, object.ID("acme."+tc.name), log)
			answers(t, neighbour, good)
		})
	}
}

// ended reports whether a process has ended, is ending or is a zombie.
func ended(pid int) bool {
	s := state(pid)
	return s == "" || s == "Z" || s == "X"
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("not within 20 s")
		}
	}
}

// TestEnvironment checks the environment of a plugin.
func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET", "of the host")
	p, _ := misbehaving(t, "looks")
	v, err := invoke(t, p, "acme.looks", "env")
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range v.([]any) {
		name, _, _ := strings.Cut(kv.(string), "=")
		if !strings.HasPrefix(name, "PLUGIN_") && name != "HEARTH_PLUGIN" {
			t.Errorf("it has %v", kv)
		}
	}
	v, err = invoke(t, p, "acme.looks", "descriptors")
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range v.([]any) {
		if s := to.(string); strings.Contains(s, fmt.Sprintf("%o", syscall.S_IFREG)) {
			t.Errorf("it has inherited %s", s)
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.Status().PID))
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 0 0") {
		t.Errorf("core limit: %s, %v", limits, err)
	}
}

// TestValues sends every kind of value there and back.
func TestValues(t *testing.T) {
	p, _ := misbehaving(t, "echoes")
	big := codec.Tuple{"x", int64(1), []byte{0, 255}}
	for _, v := range []any{nil, true, int64(-1), 2.5, complex(1, 2), "ö", []any{}, map[string]any{}, big,
		codec.Set{int64(1)}} {
		got, err := invoke(t, p, "acme.echoes", "echo", v)
		if err != nil || fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", v, v) {
			// serpent has bytes as a dict, which only its own readers undo
			if _, tuple := v.(codec.Tuple); tuple && err == nil {
				continue
			}
			t.Errorf("echo(%T %v) = %T %v, %v", v, v, got, got, err)
		}
	}
}

// TestProxy calls another object in the plugin's own name.
func TestProxy(t *testing.T) {
	cfg, _ := prepare(t, "relay", filepath.Join(built, "misbehave"))
	var from object.ID
	var chain []object.ID
	cfg.ObjectCall = func(_ context.Context, f object.ID, _ bool, c *object.Call) (object.Reply, error) {
		from, chain = f, c.Chain
		if c.ID != "acme.other" {
			return object.Reply{}, &object.Error{Code: object.CodeNotFound, Class: "DaemonError", Msg: "unknown object"}
		}
		doc, err := codec.Append(codec.ByID(codec.Serpent), nil, "from "+string(c.Method))
		return object.Reply{Payload: doc}, err
	}
	p := runs(t, cfg)
	c := newCall(cfg.ID, "relay", "acme.other", "hello")
	c.Chain = []object.ID{"acme.first"}
	r, err := p.Invoke(context.Background(), c)
	if err != nil || !strings.Contains(string(r.Payload), "from hello") {
		t.Fatalf("relay = %s, %v", r.Payload, err)
	}
	if from != cfg.ID || !slices.Equal(chain, c.Chain) {
		t.Errorf("from %s through %v", from, chain)
	}
	v, err := invoke(t, p, cfg.ID, "relay", "acme.secret", "hello")
	if ex, ok := v.(*codec.Exception); err != nil || !ok || pyro.BareClass(ex.Class) != "DaemonError" {
		t.Errorf("a forbidden relay = %v, %v", v, err)
	}
}

// TestSecret: a plugin gets the secrets of the called object. They are removed from its log lines.
func TestSecret(t *testing.T) {
	cfg, log := prepare(t, "knows", filepath.Join(built, "misbehave"))
	cfg.Secret = func(id object.ID, name string) (string, bool) {
		return "open sesame", id == cfg.ID && name == "smtp"
	}
	cfg.Redact = func(text string, _ int) string { return strings.ReplaceAll(text, "open sesame", "[secret]") }
	p := runs(t, cfg)
	if got, err := invoke(t, p, cfg.ID, "secret", "smtp"); err != nil || got != int64(len("open sesame")) {
		t.Errorf("secret(smtp) = %v, %v", got, err)
	}
	if v, err := invoke(t, p, cfg.ID, "secret", "imap"); err != nil ||
		!strings.Contains(fmt.Sprint(v), "grants no secret") {
		t.Errorf("secret(imap) = %v, %v", v, err)
	}
	eventually(t, func() bool { return strings.Contains(log.String(), "the secret is [secret]") })
	if strings.Contains(log.String(), "open sesame") {
		t.Error("the log holds the secret")
	}
}

// TestInPlace rewrites the executable while it runs and before it runs again.
func TestInPlace(t *testing.T) {
	cfg, _ := prepare(t, "rewritten", filepath.Join(built, "misbehave"))
	p := runs(t, cfg)
	answers(t, p, cfg.ID)
	f, err := os.OpenFile(cfg.Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal("the file is busy, so the old content runs:", err)
	}
	if _, err := io.WriteString(f, "overwritten in place"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	answers(t, p, cfg.ID)
	_, _ = invoke(t, p, cfg.ID, "crash")
	eventually(t, func() bool {
		_, err := invoke(t, p, cfg.ID, "echo", int64(1))
		var cause *binary.StartError
		return errors.As(err, &cause) && cause.Cause == binary.CausePin
	})
}

// TestIdle stops an idle plugin and starts it again.
func TestIdle(t *testing.T) {
	cfg, log := prepare(t, "sleepy", filepath.Join(built, "misbehave"))
	cfg.Idle = 200 * time.Millisecond
	p := runs(t, cfg)
	answers(t, p, cfg.ID)
	eventually(t, func() bool { return strings.Contains(log.String(), "plugin stopped") })
	answers(t, p, cfg.ID)
}

// TestCloseWhileItStarts closes a plugin whose shim prints nothing.
func TestCloseWhileItStarts(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("SKIPPED: there is no sleep")
	}
	for _, unconfined := range []bool{false, true} {
		cfg, _ := prepare(t, "mute", filepath.Join(built, "misbehave"))
		cfg.Shim, cfg.Unconfined = []string{sleep, "300"}, unconfined
		p := plugins.New(cfg)
		c := newCall(cfg.ID, "echo", int64(1))
		c.Deadline = time.Now().Add(50 * time.Millisecond)
		_, err := p.Invoke(context.Background(), c)
		wantCode(t, err, object.CodeDeadline, "not executed")
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestTable calls the example that keeps state, a batch and an attribute included.
func TestTable(t *testing.T) {
	cfg, _ := prepare(t, "table", filepath.Join(built, "table"))
	p := runs(t, cfg)
	if _, err := invoke(t, p, cfg.ID, "put", "a", int64(1)); err != nil {
		t.Fatal(err)
	}
	if v, err := invoke(t, p, cfg.ID, "get", "a"); err != nil || v != int64(1) {
		t.Error(v, err)
	}
	v, err := invoke(t, p, cfg.ID, "get", "b")
	if ex, ok := v.(*codec.Exception); err != nil || !ok || ex.Class != "builtins.KeyError" {
		t.Error(v, err)
	}
	_, err = invoke(t, p, cfg.ID, "get", int64(1)) // clients get a TypeError: the call was not executed
	wantCode(t, err, object.CodeInvalid, "get: key: expected string, got number 1")
	if e, _ := errors.AsType[*object.Error](err); e == nil || e.Class != "TypeError" {
		t.Error(err)
	}
	c := newCall(cfg.ID, "__getattr__", "size")
	c.Kind, c.Method = object.Get, "size"
	if r, err := p.Invoke(context.Background(), c); err != nil || !strings.Contains(string(r.Payload), "1") {
		t.Errorf("size = %s, %v", r.Payload, err)
	}
	c = newCall(cfg.ID, "<batch>", codec.Tuple{"put", codec.Tuple{"k", int64(2)}, map[string]any{}},
		codec.Tuple{"get", codec.Tuple{"none"}, map[string]any{}})
	c.Kind, c.Batch = object.Batch, []object.Method{"put", "get"}
	if r, err := p.Invoke(context.Background(), c); err != nil ||
		!strings.Contains(string(r.Payload), "_ExceptionWrapper") {
		t.Errorf("batch = %s, %v", r.Payload, err)
	}
	if _, err := invoke(t, p, cfg.ID, "secret"); object.CodeOf(err) != object.CodeNotFound {
		t.Errorf("secret() = %v", err)
	}
}
