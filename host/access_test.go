package host_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/wire"
)

func TestRateLimit(t *testing.T) {
	c := dial(t, start(t, everything+`
limit "slow" {
  principals = ["owner"]
  objects    = ["acme.counter", "acme.echo"]
  rate       = "3/h"
  burst      = 3
}
`), client.Config{})
	ctx := t.Context()
	counter := c.Object("acme.counter")
	for range 3 {
		if _, err := counter.Call(ctx, "add", 1); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		_, err := counter.Call(ctx, "add", 1)
		wantRemote(t, err, "", "limit exceeded: 3/h calls of acme.counter; not executed, try again in")
	}
	if _, err := counter.Get(ctx, "total"); err == nil {
		t.Error("the limit does not count attributes")
	}
	// The limit counts each caller and each object separately.
	if got, err := c.Object("acme.relay").Call(ctx, "add", 1); err != nil || got != int64(4) {
		t.Errorf("relay.add(1) = %v, %v; want 4: rejected calls were executed, or the relay counts as its caller",
			got, err)
	}
	// A batch counts as its number of calls. The host accepts or rejects it as a whole.
	echo := c.Object("acme.echo")
	batch := echo.Batch()
	for range 4 {
		batch.Add("echo", []any{1}, nil)
	}
	_, err := batch.Run(ctx)
	wantRemote(t, err, "", "a batch of 4 calls of acme.echo, and at most 3 may come at once; not executed")
	batch = echo.Batch()
	for range 3 {
		batch.Add("echo", []any{1}, nil)
	}
	if _, err := batch.Run(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = echo.Call(ctx, "echo", 1)
	wantRemote(t, err, "", "limit exceeded")
}

// TestStreamItemsAreCounted reads more items of a stream than a rate limit permits.
func TestStreamItemsAreCounted(t *testing.T) {
	c := dial(t, start(t, everything+`
limit "slow" {
  principals = ["owner"]
  objects    = ["acme.echo"]
  rate       = "3/h"
  burst      = 3
}
`), client.Config{})
	n := 0
	for _, err := range c.Object("acme.echo").Stream(t.Context(), "count", 10) {
		if err != nil {
			wantRemote(t, err, "", "limit exceeded")
			break
		}
		n++
	}
	if n != 2 { // the call itself is the first
		t.Errorf("%d items, want 2", n)
	}
}

func TestConcurrencyLimit(t *testing.T) {
	c := dial(t, start(t, everything+`
limit "one at a time" {
  principals = ["owner"]
  objects    = ["acme.echo"]
  concurrent = 1
}
`), client.Config{})
	ctx := t.Context()
	echo := c.Object("acme.echo")
	spun := make(chan error, 1)
	go func() {
		_, err := echo.Call(ctx, "spin")
		spun <- err
	}()
	// Calls succeed until the spinning call runs; then the limit rejects them.
	for {
		_, err := echo.Call(ctx, "echo", 1)
		if err != nil {
			wantRemote(t, err, "", "limit exceeded: 1 calls of acme.echo at a time; not executed")
			break
		}
		select {
		case err := <-spun:
			if !strings.Contains(err.Error(), "at a time") {
				t.Fatalf("no call was rejected while another was running: %v", err)
			}
			// The limit rejected the spinning call, because an echo call was running: retry.
			go func() {
				_, err := echo.Call(ctx, "spin")
				spun <- err
			}()
		default:
		}
	}
	wantRemote(t, <-spun, "", "limit exceeded") // step limit of the spinning call
	if _, err := echo.Call(ctx, "echo", 1); err != nil {
		t.Errorf("after the end of the spinning call: %v", err)
	}
}

// TestDeadlock has two single-instance objects call each other at the same time. One call fails with a deadlock
// error; the other succeeds.
func TestDeadlock(t *testing.T) {
	c := dial(t, start(t, crossingPolicy), client.Config{})
	ends := [2]string{"acme.left", "acme.right"}
	var wg sync.WaitGroup
	var results [2]any
	var errs [2]error
	for i := range ends {
		wg.Go(func() { results[i], errs[i] = c.Object(id(ends[i])).Call(t.Context(), "cross", ends[1-i]) })
	}
	wg.Wait()
	failed := 0
	for i := range ends {
		if errs[i] != nil {
			wantRemote(t, errs[i], "", "deadlock: "+ends[1-i]+" waits for a call of "+ends[i])
			failed++
		} else if results[i] != "hi" {
			t.Errorf("%s: %v", ends[i], results[i])
		}
	}
	if failed != 1 {
		t.Errorf("%d of 2 calls failed, want 1: %v", failed, errs)
	}
	// Both objects still serve calls.
	for _, end := range ends {
		if got, err := c.Object(id(end)).Call(t.Context(), "hello"); err != nil || got != "hi" {
			t.Errorf("%s afterwards: %v, %v", end, got, err)
		}
	}
}

func TestCallCycle(t *testing.T) {
	c := dial(t, start(t, crossingPolicy), client.Config{})
	_, err := c.Object("acme.left").Call(t.Context(), "around", "acme.right", "acme.left")
	wantRemote(t, err, "", "call cycle: acme.left is already waiting for this call")
	_, err = c.Object("acme.left").Call(t.Context(), "back", "acme.left")
	wantRemote(t, err, "", "call cycle: acme.left is already waiting for this call")
	if got, err := c.Object("acme.left").Call(t.Context(), "back", "acme.right"); err != nil || got != "hi" {
		t.Errorf("no cycle: %v, %v", got, err)
	}
}

// TestCallDepth nests calls between objects up to the depth limit and beyond it.
func TestCallDepth(t *testing.T) {
	l := liveHost(t, everything+`
permit "itself" {
  principals = ["object:acme.deep"]
  objects    = ["acme.deep"]
}
`)
	l.put("scripts/acme/deep.lua", `
local D = hearth.object { instance = "call" }
function D.expose:down(n)
  if n == 0 then return 0 end
  return hearth.proxy("acme.deep"):down(n - 1) + 1
end
return D`)
	l.reload()
	deep := l.c.Object("acme.deep")
	if got, err := deep.Call(t.Context(), "down", 8); err != nil || got != int64(8) {
		t.Errorf("8 deep: %v, %v", got, err)
	}
	_, err := deep.Call(t.Context(), "down", 9)
	wantRemote(t, err, "", "limit exceeded: objects call each other 8 deep; not executed")
}

const crossingPolicy = everything + `
permit "they call each other" {
  principals = ["object:acme.left", "object:acme.right"]
  objects    = ["acme.*"]
}
`

// parse loads a policy from a text.
func parse(t *testing.T, text string) *policy.Policy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := policyfile.Load(file, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPolicyClosesStream replaces the policy by one that forbids an open stream: the stream ends.
func TestPolicyClosesStream(t *testing.T) {
	l := liveHost(t, everything)
	for _, one := range []struct {
		proto      wire.Protocol
		serializer string
	}{
		{wire.Pyro4, "serpent"},
		{wire.Pyro4, "json"},
		{wire.Pyro4, "msgpack"},
		{wire.Pyro5, "serpent"},
		{wire.Pyro5, "json"},
		{wire.Pyro5, "msgpack"},
	} {
		r := dialRaw(t, l.h.Addrs()[0], one.proto, one.serializer)
		r.call("acme.echo", "count", 10)
		id, ok := r.last.Annotation("STRM")
		if !ok {
			t.Fatalf("no stream: %q", r.last.Payload)
		}
		stream := string(id)
		next := func() []byte { return r.call("Pyro.Daemon", "get_next_stream_item", stream) }
		for i := range 3 {
			if next(); r.last.Flags&wire.Exception != 0 {
				t.Fatalf("%v: item %d: %q", one, i+1, r.last.Payload)
			}
		}
		l.put("policy.hcl", everything+`
forbid "no more" {
  principals = ["owner"]
  objects    = ["acme.echo"]
}
`)
		l.reload()
		got := next()
		unknown := strings.Repeat("A", len(stream))
		if want := r.call("Pyro.Daemon", "get_next_stream_item", unknown); !bytes.Equal(got, want) {
			t.Errorf("%v: the item is %q; want the reply to an unknown ID: %q", one, got, want)
		}
		// The stream stays closed when the policy permits it again.
		l.put("policy.hcl", everything)
		l.reload()
		if again := next(); !bytes.Equal(again, got) {
			t.Errorf("%v: the stream is open again: %q", one, again)
		}
	}
	denied := 0
	for e, err := range trail.Entries(filepath.Join(l.dir, "state", "audit.jsonl")) {
		if err != nil {
			t.Fatal(err)
		}
		isCount := e.Object == "acme.echo" && e.Method == "count"
		if isCount && e.Decision == "deny" && strings.Contains(e.Reason, "no more") {
			denied++
		}
	}
	if denied != 6 {
		t.Errorf("%d denials in the audit log, want 6: one for each stream", denied)
	}
}

// TestReadOnlyAttribute sets an attribute that the caller may only read: the reply is that to an unknown object. A
// permit for a method that an object lacks does not show the object.
func TestReadOnlyAttribute(t *testing.T) {
	h, dir := startHost(t, strings.Replace(onlyAdd, `["add"]`, `["total"]`, 1)+`
permit "missing method" {
  principals = ["owner"]
  objects    = ["acme.echo"]
  methods    = ["total"]
}
`)
	for _, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		for _, serializer := range []string{"serpent", "json", "msgpack"} {
			r := dialRaw(t, h.Addrs()[0], proto, serializer)
			unknown := r.call("acme.nosuch", "add", 1)
			for kind, got := range map[string][]byte{
				"setting it":           r.call("acme.counter", "__setattr__", "total", 7),
				"calling by that name": r.call("acme.counter", "total=", 7),
				"getting by that name": r.call("acme.counter", "__getattr__", "total="),
				"a batch":              r.batch("acme.counter", "total="),
				"metadata":             r.call("Pyro.Daemon", "get_metadata", "acme.echo"),
				"describe":             r.call("Pyro.Daemon", "describe", "acme.echo"),
			} {
				if !bytes.Equal(got, unknown) {
					t.Errorf("%d/%s: %s: %q", proto, serializer, kind, got)
				}
			}
			r.call("acme.counter", "__getattr__", "total")
			v, err := codec.Unmarshal(r.ser, r.last.Payload, codec.Limits{})
			if r.last.Flags&wire.Exception != 0 || err != nil || v != int64(0) {
				t.Errorf("%d/%s: total is %v, %v", proto, serializer, v, err)
			}
		}
	}
	d, err := dial(t, h.Addrs()[0], client.Config{}).Object(object.Daemon).Call(t.Context(), "describe", "acme.counter")
	if err != nil {
		t.Fatal(err)
	}
	members, _ := d.(map[string]any)["members"].([]any)
	if len(members) != 1 || members[0].(map[string]any)["get"] != true || members[0].(map[string]any)["set"] != false {
		t.Errorf("described as %v", members)
	}
	set := 0
	for e, err := range trail.Entries(filepath.Join(dir, "state", "audit.jsonl")) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Decision == "deny" && e.Object == "acme.counter" && e.Method == "total=" {
			set++
		}
	}
	if set != 24 { // four requests for each of six protocol and serializer pairs
		t.Errorf("%d denials of total= in the audit log, want 24", set)
	}
}

// TestObjectsHaveOwnSessions calls a session object from three objects: each has its own session state.
func TestObjectsHaveOwnSessions(t *testing.T) {
	l := liveHost(t, everything+`
permit "they call it" {
  principals = ["object:acme.one", "object:acme.two", "object:other.three"]
  objects    = ["acme.session"]
  crosses_tenants = true
}
permit "and are called" {
  principals = ["owner"]
  objects    = ["other.three"]
}
`)
	const script = `
local X = hearth.object { instance = "call" }
function X.expose:next() return hearth.proxy("acme.session"):next() end
return X`
	ids := []object.ID{"acme.one", "acme.two", "other.three"}
	for _, id := range ids {
		l.put("scripts/"+strings.Replace(string(id), ".", "/", 1)+".lua", script)
	}
	l.reload()
	for n := range int64(2) {
		for _, id := range ids {
			l.want(id, "next", n+1)
		}
	}
}

// TestBatchIsDecidedItemByItem sends a batch with one forbidden call: no call is executed, and the audit log has only
// the denial.
func TestBatchIsDecidedItemByItem(t *testing.T) {
	h, dir := startHost(t, everything+`
forbid "no reset" {
  principals = ["owner"]
  objects    = ["acme.counter"]
  methods    = ["reset"]
}
`)
	counter := dial(t, h.Addrs()[0], client.Config{}).Object("acme.counter")
	batch := counter.Batch().Add("add", []any{1}, nil).Add("reset", nil, nil).Add("add", []any{1}, nil)
	_, err := batch.Run(t.Context())
	wantRemote(t, err, "", "unknown object")
	if got, err := counter.Get(t.Context(), "total"); err != nil || got != int64(0) {
		t.Errorf("total = %v, %v, want 0: a call of the batch was executed", got, err)
	}
	if _, err := counter.Batch().Add("add", []any{1}, nil).Add("add", []any{1}, nil).Run(t.Context()); err != nil {
		t.Error(err)
	}
	var decisions []string
	for e, err := range trail.Entries(filepath.Join(dir, "state", "audit.jsonl")) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Event == "call" {
			decisions = append(decisions, fmt.Sprint(e.Decision, " ", e.Method, " ", e.Count, " ", e.Item))
		}
	}
	if got, want := strings.Join(decisions, ", "), "deny reset 3 2, permit total  0, permit add 2 0"; got != want {
		t.Errorf("the audit log has %s; want %s", got, want)
	}
}

// TestLargeBatches sends a compressed batch of the maximum number of calls: it is one line of the audit log. The host
// rejects a larger batch before the policy decision.
func TestLargeBatches(t *testing.T) {
	h, dir := startHost(t, everything)
	echo := dial(t, h.Addrs()[0], client.Config{Serializer: "msgpack", Compress: true}).Object("acme.echo")
	run := func(n int) error {
		b := echo.Batch()
		for i := range n {
			b.Add([]string{"echo", "controls"}[i%2], []any{i % 10}, nil)
		}
		_, err := b.Run(t.Context())
		return err
	}
	if err := run(object.MaxBatch); err != nil {
		t.Fatal(err)
	}
	wantRemote(t, run(object.MaxBatch+1), "", "limit exceeded: a batch of more than 5000 calls; not executed")
	log, err := os.ReadFile(filepath.Join(dir, "state", "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	last := lines[len(lines)-1]
	if len(lines) != 2 || len(log) > 32<<10 || !strings.Contains(last, `"methods":["echo","controls"]`) ||
		!strings.Contains(last, `"count":5000,"order":"0 1 0 1 `) {
		t.Errorf("%d lines of %d bytes, the last %.700s", len(lines), len(log), last)
	}
}

// TestAuditFailureRejectsCalls closes the audit log: the host rejects calls that it cannot record.
func TestAuditFailureRejectsCalls(t *testing.T) {
	h, _ := startHost(t, everything)
	c := dial(t, h.Addrs()[0], client.Config{})
	counter := c.Object("acme.counter")
	if _, err := counter.Call(t.Context(), "add", 1); err != nil {
		t.Fatal(err)
	}
	h.CloseAudit()
	_, err := counter.Call(t.Context(), "add", 1)
	wantRemote(t, err, "", "the host cannot keep its audit log; not executed")
	_, err = counter.Batch().Add("add", []any{1}, nil).Run(t.Context())
	wantRemote(t, err, "", "audit log")
	// The reply to a denied call is unchanged.
	_, err = c.Object("acme.nosuch").Call(t.Context(), "add", 1)
	wantRemote(t, err, "", "unknown object")
}

// TestAuditHoldsNoData searches the audit log for arguments and results: it has neither.
func TestAuditHoldsNoData(t *testing.T) {
	h, dir := startHost(t, everything)
	c := dial(t, h.Addrs()[0], client.Config{})
	const secret = "c0ffee-and-cake"
	ctx := context.WithoutCancel(t.Context())
	if _, err := c.Object("acme.echo").CallKw(ctx, "echo", []any{secret}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Object("acme.counter").Set(ctx, "total", 7777777); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "state", "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	if strings.Contains(s, secret) || strings.Contains(s, "7777777") || !strings.Contains(s, `"method":"echo"`) {
		t.Errorf("the audit log has the data, or lacks the call: %s", s)
	}
}
