//go:build linux

package main_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	hearth "github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

var stateKills = flag.Int("kills", 3, "number of kills of TestKillsWithState")

// countScript counts in durable state: for all clients, and for each of them in the same commit.
const countScript = `
local s = hearth.store
local C = hearth.object { instance = "%[1]s" }
local function add(who)
  s.increment("own/" .. who)
  s.put("last", { who = who, filler = ("x"):rep(500) })
  return s.increment("total")
end
function C.expose:add(who)
  if "%[1]s" == "call" then return s.transaction(function() return add(who) end) end
  return add(who)
end
function C.expose:get(key) return s.get(key) or 0 end
return C
`

// killedObjects are the objects of TestKillsWithState. Some calls of those with one instance have an idempotency key,
// and are repeated when their outcome is unknown.
var killedObjects = []struct {
	id   object.ID
	once bool
}{{"bank.single", true}, {"bank.keyed:alice", true}, {"bank.keyed:bob", true}, {"bank.call", false}}

// stateKill is a host that is killed repeatedly, and the history of its counters.
type stateKill struct {
	*liveHost
	t     *testing.T
	ctx   context.Context
	serve *exec.Cmd

	begun   time.Time
	answers atomic.Int64

	mu      sync.Mutex // guards the fields below
	history map[object.ID][]porcupine.Operation
	own     map[object.ID][]int64     // counted increments of each client
	open    map[object.ID][]*openCall // calls of the round whose outcome is unknown, by client
	calls   int                       // number of calls: the source of idempotency keys
}

// openCall is a call whose outcome is unknown.
type openCall struct {
	op  porcupine.Operation
	key string // idempotency key, "" without
}

const killClients = 8

// now returns the time for the history.
func (k *stateKill) now() int64 { return int64(time.Since(k.begun)) }

// start starts the host and waits until it answers.
func (k *stateKill) start() {
	k.serve = exec.CommandContext(k.ctx, k.bin, "serve", "--policy", filepath.Join(k.dir, "policy.hcl"))
	k.log = &lockedBuffer{}
	k.serve.Stdout, k.serve.Stderr, k.serve.Dir = k.log, k.log, k.dir
	check(k.t, k.serve.Start())
	await(k.ctx, k.t, "the host to answer", func() bool {
		_, err := k.callOnce(k.ctx, "bank.call", "get", "total")
		return err == nil
	})
}

// client increments counters until stop is closed, or a call fails that the host may have executed.
func (k *stateKill) client(who int, stop <-chan struct{}) {
	c, err := hearth.New(hearth.Config{Address: "unix:" + k.unix})
	check(k.t, err)
	defer c.Close()
	for i := who; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		o := killedObjects[i%len(killedObjects)]
		var call openCall
		var v any
		if o.once && i%7 == 0 { // an object keeps a limited number of answers
			k.mu.Lock()
			k.calls++
			call.key = fmt.Sprintf("call-%d", k.calls)
			k.mu.Unlock()
		}
		call.op = porcupine.Operation{ClientId: who, Input: true, Call: k.now()}
		if call.key != "" {
			v, err = c.Object(o.id).CallOnce(k.ctx, call.key, "add", []any{fmt.Sprint(who)}, nil)
		} else {
			v, err = c.Object(o.id).Call(k.ctx, "add", fmt.Sprint(who))
		}
		call.op.Return = k.now()
		switch {
		case err == nil:
			k.acknowledge(o.id, who, call.op, v)
			k.answers.Add(1)
		case notStored(err):
		default:
			k.mu.Lock()
			k.open[o.id][who] = &call
			k.mu.Unlock()
			return
		}
	}
}

// notStored reports whether an error states that nothing of the call is stored.
func notStored(err error) bool {
	if e, ok := errors.AsType[*hearth.CallError](err); ok && e.Executed == hearth.No {
		return true
	}
	return strings.Contains(err.Error(), "not executed") || strings.Contains(err.Error(), "not stored")
}

// acknowledge enters an increment with its result.
func (k *stateKill) acknowledge(id object.ID, who int, op porcupine.Operation, v any) {
	n, ok := v.(int64)
	if !ok {
		k.t.Errorf("an increment of %s returned %v", id, v)
	}
	op.Output = n
	k.mu.Lock()
	defer k.mu.Unlock()
	k.history[id] = append(k.history[id], op)
	k.own[id][who]++
}

// repeat makes a call that can be repeated until it has an answer. On a disk that is busy with the files of other
// programs, a call can exceed its time.
func (k *stateKill) repeat(call func() (any, error)) (v any, err error) {
	for begun := time.Now(); ; {
		v, err = call()
		if err == nil || time.Since(begun) > time.Minute || k.ctx.Err() != nil {
			return v, err
		}
	}
}

// settle decides the calls whose outcome is unknown, and compares all counters with the history.
func (k *stateKill) settle() {
	c, err := hearth.New(hearth.Config{Address: "unix:" + k.unix})
	check(k.t, err)
	defer c.Close()
	read := func(id object.ID, key string) int64 {
		v, err := k.repeat(func() (any, error) { return c.Object(id).Call(k.ctx, "get", key) })
		check(k.t, err)
		n, ok := v.(int64)
		if !ok {
			k.t.Fatalf("%s of %s is %v", key, id, v)
		}
		return n
	}
	for _, o := range killedObjects {
		for who, call := range k.open[o.id] {
			if call == nil {
				continue
			}
			k.open[o.id][who] = nil
			if call.key != "" {
				v, err := k.repeat(func() (any, error) {
					return c.Object(o.id).CallOnce(k.ctx, call.key, "add", []any{fmt.Sprint(who)}, nil)
				})
				if err != nil {
					k.t.Fatalf("%s: the call %s is repeated: %v", o.id, call.key, err)
				}
				call.op.Return = k.now()
				k.acknowledge(o.id, who, call.op, v)
				continue
			}
			if n := read(o.id, fmt.Sprint("own/", who)); n == k.own[o.id][who]+1 {
				call.op.Output, call.op.Return = int64(unknownValue), k.now()
				k.history[o.id] = append(k.history[o.id], call.op)
				k.own[o.id][who]++
			}
		}
		sum := int64(0)
		for who, n := range k.own[o.id] {
			sum += n
			if got := read(o.id, fmt.Sprint("own/", who)); got != n {
				k.t.Errorf("%s has %d increments of client %d, acknowledged are %d", o.id, got, who, n)
			}
		}
		op := porcupine.Operation{ClientId: killClients, Input: false, Call: k.now()}
		total := read(o.id, "total")
		op.Output, op.Return = total, k.now()
		k.history[o.id] = append(k.history[o.id], op)
		if total != sum {
			k.t.Errorf("%s counts %d, its clients %d together", o.id, total, sum)
		}
	}
}

// unknownValue is the output of an increment that took effect without an answer.
const unknownValue = -1

// killCounter is the model of a counter: an input of true increments it, false reads it.
var killCounter = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		n, got := state.(int64), output.(int64)
		if input.(bool) {
			return got == n+1 || got == unknownValue, n + 1
		}
		return got == n, n
	},
}

// TestKillsWithState kills the host, or the worker of its tenant, while clients increment durable counters of a single
// object, of keyed ones and of one with overlapping calls. No acknowledged increment is lost, none is counted twice, a
// call that is repeated with its idempotency key is executed once, and the history of each counter is linearizable.
func TestKillsWithState(t *testing.T) {
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // a socket's path is short
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(*stateKills+20)*10*time.Second)
	defer cancel()
	k := &stateKill{
		liveHost: &liveHost{dir: dir, bin: filepath.Join(dir, "hearth"), unix: filepath.Join(dir, "h.sock")},
		t:        t,
		ctx:      ctx,
		begun:    time.Now(),
		history:  map[object.ID][]porcupine.Operation{},
		own:      map[object.ID][]int64{},
		open:     map[object.ID][]*openCall{},
	}
	buildHearth(t, k.bin)
	check(t, os.MkdirAll(filepath.Join(dir, "scripts/bank"), 0o755))
	for _, mode := range []string{"single", "keyed", "call"} {
		script := fmt.Appendf(nil, countScript, mode)
		check(t, os.WriteFile(filepath.Join(dir, "scripts/bank", mode+".lua"), script, 0o644))
	}
	check(t, os.WriteFile(filepath.Join(dir, "policy.hcl"), []byte(`
listener "unix" { address = "unix:h.sock" }
principal "me" { host_user = true }
tenant "bank" {}
permit "the tests may call" {
  principals = ["me"]
  objects    = ["bank.*"]
}
`), 0o600))
	for _, o := range killedObjects {
		k.own[o.id], k.open[o.id] = make([]int64, killClients), make([]*openCall, killClients)
	}
	k.start()
	defer func() {
		_ = k.serve.Process.Kill()
		_ = k.serve.Wait()
		if t.Failed() {
			t.Logf("log of hearth serve, its end:\n%s", tail(k.log.String(), 30))
		}
	}()
	killed := map[string]int{}
	for round := 0; round < *stateKills && !t.Failed(); round++ {
		what := "host"
		if round%2 == 0 && rand.IntN(4) > 0 { // a worker that crashes ten times in a row is quarantined
			what = "worker"
		}
		killed[what]++
		k.round(what)
		if round%50 == 49 {
			t.Logf("round %d", round+1)
		}
	}
	for id, ops := range k.history {
		r := porcupine.CheckOperationsTimeout(killCounter, ops, time.Minute)
		if r != porcupine.Ok {
			t.Errorf("the history of the %d operations of %s is not linearizable: %v", len(ops), id, r)
		}
	}
	t.Logf("kills: %v; %d increments acknowledged", killed, k.answers.Load())
}

var workerStarted = regexp.MustCompile(`msg="worker started" tenant=bank pid=(\d+)`)

// round runs the clients, kills a process among their calls and compares the counters.
func (k *stateKill) round(what string) {
	stop := make(chan struct{})
	var load sync.WaitGroup
	var running atomic.Int64
	running.Store(killClients)
	for who := range killClients {
		load.Go(func() {
			defer running.Add(-1)
			k.client(who, stop)
		})
	}
	await := func(more int64) {
		for enough := k.answers.Load() + more; k.answers.Load() < enough && running.Load() > 0 && k.ctx.Err() == nil; {
			time.Sleep(100 * time.Microsecond)
		}
	}
	await(rand.Int64N(200))
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
	if what == "worker" {
		all := workerStarted.FindAllStringSubmatch(k.log.String(), -1)
		if len(all) > 0 {
			pid, err := strconv.Atoi(all[len(all)-1][1])
			check(k.t, err)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		await(20) // the next worker runs calls
	} else {
		check(k.t, k.serve.Process.Kill())
		_ = k.serve.Wait()
	}
	close(stop)
	load.Wait()
	if what == "host" {
		k.start()
	}
	k.settle()
}
