//go:build linux

package plugins_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins"
)

var errRefused = &object.Error{Code: object.CodeNotFound, Msg: "refused", Class: "DaemonError"}

// underWay waits until n calls of a principal are under way.
func underWay(p *plugins.Plugin, who object.Principal, n int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for got := -1; got != n; <-tick.C {
		got = 0
		p.Withdraw(func(c *object.Call) error {
			if c.Caller.Principal == who {
				got++
			}
			return nil
		})
	}
}

// invokeAs calls a method as a principal and sends the error to the channel that it returns.
func invokeAs(p *plugins.Plugin, who object.Principal, id object.ID, method string, args ...any) chan error {
	done := make(chan error, 1)
	go func() {
		c := newCall(id, method, args...)
		c.Caller.Principal = who
		_, err := p.Invoke(context.Background(), c)
		done <- err
	}()
	return done
}

// pythonQueue is the part of misbehave that TestWithdrawQueued uses, in Python.
const pythonQueue = `
import threading
import hearth_plugin as hearth

holding, opened, ran = threading.Event(), threading.Event(), []

class Queue:
    @hearth.method
    def hold(self):
        holding.set()
        opened.wait()

    @hearth.method
    def add(self, n):
        ran.append(n)

@hearth.plugin(mode="single", name="single")
class Single(Queue):
    pass

@hearth.plugin(mode="session", name="session")
class Session(Queue):
    pass

@hearth.plugin(mode="call", name="control")
class Control:
    @hearth.method
    def holding(self):
        holding.wait()

    @hearth.method
    def open(self):
        opened.set()

    @hearth.method
    def ran(self):
        return ran

hearth.serve(Control, Single, Session)
`

// python packs a program with the SDK into an executable.
func python(t *testing.T, program string) string {
	t.Helper()
	const interpreter = "/usr/bin/python3"
	try := exec.CommandContext(t.Context(), interpreter, "-c", "import grpc, cryptography")
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("!! PLUGINS IN PYTHON ARE NOT TESTED: apt-get install python3-grpcio python3-cryptography: %v %s", err,
			out)
	}
	sdk, err := os.ReadFile("sdk/python/hearth_plugin.py")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.Mkdir(from, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"hearth_plugin.py": string(sdk), "__main__.py": program} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pack := exec.CommandContext(t.Context(), interpreter, "-m", "zipapp", from, "-p", interpreter+" -I", "-o", to)
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return to
}

// TestWithdrawQueued: calls that wait in a plugin for its object are answered at once when they are withdrawn, and do
// not run when the object is free. Other callers' calls do.
func TestWithdrawQueued(t *testing.T) {
	t.Parallel()
	const n = 5
	for language, executable := range map[string]func(*testing.T) string{
		"go":     func(*testing.T) string { return filepath.Join(built, "misbehave") },
		"python": func(t *testing.T) string { return python(t, pythonQueue) },
	} {
		for _, mode := range []string{"single", "session"} {
			t.Run(language+" "+mode, func(t *testing.T) {
				t.Parallel()
				cfg, _ := prepare(t, "queue", executable(t))
				id, control := cfg.ID+object.ID("."+mode), cfg.ID+".control"
				cfg.Objects = append(cfg.Objects, id, control)
				cfg.Unconfined = true // Python needs files of the system
				p := runs(t, cfg)
				held := invokeAs(p, "alice", id, "hold")
				if _, err := invoke(t, p, control, "holding"); err != nil {
					t.Fatal(err)
				}
				var waiting []chan error
				for k := range n {
					waiting = append(waiting, invokeAs(p, "bob", id, "add", k))
				}
				underWay(p, "bob", n)
				if _, err := invoke(t, p, control, "ran"); err != nil { // most of the n have arrived now
					t.Fatal(err)
				}
				p.Withdraw(func(c *object.Call) error {
					if c.Caller.Principal == "bob" {
						return errRefused
					}
					return nil
				})
				for _, w := range waiting {
					wantCode(t, <-w, object.CodeNotFound, "refused; ")
				}
				select {
				case err := <-held:
					t.Fatalf("the call in front ended: %v", err)
				default:
				}
				if _, err := invoke(t, p, control, "open"); err != nil {
					t.Fatal(err)
				}
				if err := <-held; err != nil {
					t.Errorf("the call in front: %v", err)
				}
				want := "["
				for k := range n { // each waits for those that came before it
					if err := <-invokeAs(p, "alice", id, "add", 100+k); err != nil {
						t.Errorf("a call that is permitted: %v", err)
					}
					want += fmt.Sprint(100+k, " ")
				}
				got, err := invoke(t, p, control, "ran")
				if want = want[:len(want)-1] + "]"; err != nil || fmt.Sprint(got) != want {
					t.Errorf("the plugin ran %v, %v, want %s", got, err, want)
				}
			})
		}
	}
}

// TestWithdrawnMayHaveRun: the answer to a call that runs in the plugin does not claim that it was not executed.
func TestWithdrawnMayHaveRun(t *testing.T) {
	t.Parallel()
	cfg, _ := prepare(t, "runs", filepath.Join(built, "misbehave"))
	cfg.Objects = append(cfg.Objects, "acme.runs.single", "acme.runs.control")
	p := runs(t, cfg)
	held := invokeAs(p, "bob", "acme.runs.single", "hold")
	if _, err := invoke(t, p, "acme.runs.control", "holding"); err != nil {
		t.Fatal(err)
	}
	p.Withdraw(func(*object.Call) error { return errRefused })
	wantCode(t, <-held, object.CodeNotFound, "refused; whether it was executed is unknown")
	if _, err := invoke(t, p, "acme.runs.control", "open"); err != nil { // the plugin lives
		t.Error(err)
	}
}

// TestWithdrawnBeforeStart: a call that waits for the start of the plugin is not sent to it.
func TestWithdrawnBeforeStart(t *testing.T) {
	t.Parallel()
	p, _ := misbehaving(t, "silent")
	waiting := invokeAs(p, "bob", "acme.silent", "echo", 1)
	underWay(p, "bob", 1)
	p.Withdraw(func(*object.Call) error { return errRefused })
	err := <-waiting
	wantCode(t, err, object.CodeNotFound, "refused; not executed")
}
