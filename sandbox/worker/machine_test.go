package worker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/link/linktest"
	"github.com/hearthhost/hearth/sandbox/worker/pool"
)

// machine drives a worker and the model with the same operations. Scripts stop at a gate, which is an object of the
// host: the test alone decides when they continue.
type machine struct {
	*model
	p       *peer
	last    uint64          // number of the last version
	loaded  []*modelVersion // not in use
	formats map[uint64]codec.ID
	proxied map[string]uint64 // requests of the worker to the gate, by tag
}

var objectIDs = []object.ID{"acme.a", "acme.b"}

// TestMachine compares the worker with the model for random operations. Each request must be answered once, with
// the answer of the model.
func TestMachine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		linktest.Bubble(t, func(*testing.T) {
			m := &machine{
				model:   newModel(),
				p:       newPeer(rt, 0),
				formats: map[uint64]codec.ID{},
				proxied: map[string]uint64{},
			}
			defer m.p.close()
			m.Load(rt)
			rt.Repeat(rapid.StateMachineActions(m))
			m.stop(rt)
		})
	})
}

var modes = []object.InstanceMode{object.Single, object.Session, object.PerCall, object.Keyed, object.Keyed}

var handovers = []handoverKind{handsOver, handsOver, noHandover, badHandover}

// newVersion draws a version and loads it.
func (m *machine) newVersion(t *rapid.T, request uint64) *modelVersion {
	m.last++
	v := &modelVersion{
		number:   m.last,
		id:       rapid.SampledFrom(objectIDs).Draw(t, "object"),
		mode:     rapid.SampledFrom(modes).Draw(t, "mode"),
		handover: rapid.SampledFrom(handovers).Draw(t, "handover"),
		badInit:  rapid.IntRange(0, 9).Draw(t, "init") == 9,
		broken:   rapid.IntRange(0, 9).Draw(t, "script") == 9,
	}
	m.p.load(request, &link.Version{
		Number: v.number, Libs: v.number, ID: v.id, File: "x.lua", Source: []byte(v.source()),
		Limits: object.Limits{
			Steps: modelSteps, Queue: modelQueue, Parallel: modelParallel, Sessions: modelSessions,
			Instances: modelKeys, InstanceIdle: modelIdle,
			MaxDuration: 1000 * time.Hour, LogLines: 1000,
		},
	}, nil)
	return v
}

// Load loads a version and uses it at once, as for an object's first call.
func (m *machine) Load(t *rapid.T) {
	v := m.newVersion(t, 0)
	m.p.sendUint(link.Use, v.number)
	// With calls that waited for the old version, a burst may be larger than the queue of the new one.
	moved := m.objects[v.id] != nil && len(m.objects[v.id].waiting) > 0
	m.use(v)
	if !moved && rapid.Bool().Draw(t, "early") { // the call arrives before the version has loaded
		m.send(t, v.id, &modelCall{conn: 1, method: "inc"})
	}
}

// Try loads a version that a later operation uses or forgets.
func (m *machine) Try(t *rapid.T) {
	id := m.p.request()
	v := m.newVersion(t, id)
	m.loaded = append(m.loaded, v)
	if m.want[id] = "described " + string(v.mode); v.broken {
		m.want[id] = "exception does not load"
	}
}

// takeLoaded draws a version that was tried.
func (m *machine) takeLoaded(t *rapid.T) *modelVersion {
	if len(m.loaded) == 0 {
		t.Skip("no version is loaded")
	}
	i := rapid.IntRange(0, len(m.loaded)-1).Draw(t, "version")
	v := m.loaded[i]
	m.loaded = slices.Delete(m.loaded, i, i+1)
	return v
}

// Use puts a version into use that was tried.
func (m *machine) Use(t *rapid.T) {
	v := m.takeLoaded(t)
	m.p.sendUint(link.Use, v.number)
	m.use(v)
}

// Forget drops a version that was tried.
func (m *machine) Forget(t *rapid.T) {
	v := m.takeLoaded(t)
	m.p.sendUint(link.Forget, v.number)
	m.p.sendUint(link.DropLibs, v.number)
}

// Remove removes an object.
func (m *machine) Remove(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		t.Skip("rarely")
	}
	id := rapid.SampledFrom(objectIDs).Draw(t, "object")
	m.p.sendText(link.Remove, 0, string(id))
	if m.objects[id] != nil {
		m.remove(id)
	}
}

// send sends a call.
func (m *machine) send(t *rapid.T, id object.ID, c *modelCall) {
	format := rapid.SampledFrom([]codec.ID{codec.Serpent, codec.JSON, codec.Msgpack}).Draw(t, "format")
	var args []any
	if c.arg != nil {
		args = append(args, c.arg)
	}
	c.to = id
	v := m.objects[id]
	if keyed := v != nil && v.mode == object.Keyed; keyed == (rapid.IntRange(0, 9).Draw(t, "address") > 0) {
		c.to = id.WithKey(rapid.SampledFrom([]string{"alice", "bob", "7"}).Draw(t, "key"))
	}
	call := newCall(c.to, c.method, format, args...)
	call.Conn = c.conn
	if c.chain {
		call.Chain = []object.ID{"other.x", c.to}
	}
	c.id = m.p.call(call)
	m.formats[c.id] = format
	m.call(id, c)
}

var methods = []object.Method{"inc", "inc", "fail", "burn", "secret", "items", "gated", "none"}

// Call calls a method.
func (m *machine) Call(t *rapid.T) {
	c := &modelCall{
		conn:   rapid.Uint64Range(1, 3).Draw(t, "conn"),
		method: rapid.SampledFrom(methods).Draw(t, "method"),
		chain:  rapid.IntRange(0, 19).Draw(t, "chain") == 0,
	}
	switch c.method {
	case "items":
		c.arg = rapid.IntRange(0, 3).Draw(t, "items")
	case "gated":
		c.arg = fmt.Sprint("stream", m.p.last)
	}
	m.send(t, rapid.SampledFrom(objectIDs).Draw(t, "object"), c)
}

// Hold calls a method that waits at the gate.
func (m *machine) Hold(t *rapid.T) {
	m.send(t, rapid.SampledFrom(objectIDs).Draw(t, "object"), &modelCall{
		conn:   rapid.Uint64Range(1, 3).Draw(t, "conn"),
		method: "hold",
		arg:    fmt.Sprint("call", m.p.last),
	})
}

// Crowd holds more calls of one object than it runs and queues.
func (m *machine) Crowd(t *rapid.T) {
	id := rapid.SampledFrom(objectIDs).Draw(t, "object")
	conn := rapid.Uint64Range(1, 3).Draw(t, "conn")
	for range modelParallel + modelQueue + 1 {
		method := rapid.SampledFrom([]object.Method{"hold", "hold", "gated"}).Draw(t, "method")
		m.send(t, id, &modelCall{conn: conn, method: method, arg: fmt.Sprint("crowd", m.p.last)})
		m.Check(t)
	}
}

// stream draws an open stream, or the id of one that has ended.
func (m *machine) stream(t *rapid.T) (uint64, *modelStream) {
	id := rapid.SampledFrom(append(slices.Sorted(maps.Keys(m.streams)), 1_000_000)).Draw(t, "stream")
	return id, m.streams[id]
}

// Next requests the next item of a stream.
func (m *machine) Next(t *rapid.T) {
	id, s := m.stream(t)
	c := &modelCall{id: m.p.request(), next: true, stream: s}
	m.pending[c.id] = c
	call := &object.Call{ID: "acme.a", Kind: object.Invoke, Format: "pyro5/serpent"}
	m.formats[c.id] = codec.Serpent
	m.p.send(link.Next, c.id, func(e *link.Encoder) {
		e.Uint(id)
		e.PutCall(call)
	})
	if s == nil {
		m.gone(c)
		return
	}
	m.enqueue(s.a, c)
}

// CloseStream ends a stream early.
func (m *machine) CloseStream(t *rapid.T) {
	id, s := m.stream(t)
	m.p.sendUint(link.CloseStream, id)
	if s != nil {
		m.closeStream(s)
	}
}

// held draws the tag of a held call.
func (m *machine) held(t *rapid.T) string {
	if len(m.gates) == 0 {
		t.Skip("no call is held")
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.gates))).Draw(t, "held")
}

// Release lets a held call continue.
func (m *machine) Release(t *rapid.T) { m.answerGate(t, m.held(t)) }

// answerGate answers the request of a held call with a value or an error.
func (m *machine) answerGate(t *rapid.T, tag string) {
	value := ""
	var reply link.ServiceReply
	var failed *object.Error
	switch rapid.IntRange(0, 5).Draw(t, "outcome") {
	case 0:
		failed = object.Errorf(object.CodeRaised, "gate")
		failed.Class = "RuntimeError"
	case 1:
		reply.Kind = link.ObjectException
		reply.Payload = exception(t, &codec.Exception{Class: "RuntimeError", Args: []any{"gate"}})
	case 2:
		reply.Kind = link.ObjectStream // a script cannot open the stream of another object
	default:
		value = "ok"
		b, err := codec.Append(codec.ByID(codec.Serpent), nil, value)
		if err != nil {
			t.Fatal(err)
		}
		reply.Payload = b
	}
	m.p.send(link.HostReply, m.proxied[tag], func(e *link.Encoder) { e.PutServiceReply(reply, failed) })
	delete(m.proxied, tag)
	m.release(tag, value)
}

// exception encodes an exception.
func exception(t fataler, e *codec.Exception) []byte {
	enc := codec.ByID(codec.Serpent).NewEncoder(nil)
	if err := codec.Write(enc, e); err != nil {
		t.Fatalf("%v", err)
	}
	b, err := enc.Document()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return b
}

// request draws a request that is not answered.
func (m *machine) request(t *rapid.T) *modelCall {
	if len(m.pending) == 0 {
		t.Skip("no request is pending")
	}
	return m.pending[rapid.SampledFrom(slices.Sorted(maps.Keys(m.pending))).Draw(t, "request")]
}

// Cancel cancels a request.
func (m *machine) Cancel(t *rapid.T) {
	c := m.request(t)
	m.p.send(link.Cancel, c.id, nil)
	m.cancel(c)
}

// Withdraw withdraws a request, which has an effect unless it has begun.
func (m *machine) Withdraw(t *rapid.T) {
	c := m.request(t)
	m.p.send(link.Withdraw, c.id, nil)
	m.withdraw(c)
}

// EndConn ends a connection.
func (m *machine) EndConn(t *rapid.T) {
	conn := rapid.Uint64Range(1, 3).Draw(t, "conn")
	m.p.sendUint(link.EndConn, conn)
	m.endConn(conn)
}

// Drain lets DrainTimeout pass.
func (m *machine) Drain(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		t.Skip("rarely")
	}
	time.Sleep(pool.DrainTimeout + time.Second)
	m.cutRetired()
}

// modelIdle is the time after which an idle instance of a keyed object ends. It is much longer than all waits of Drain.
const modelIdle = 8 * time.Hour

// Rest lets idle instances of keyed objects end.
func (m *machine) Rest(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		t.Skip("rarely")
	}
	time.Sleep(modelIdle*3/2 + time.Minute)
	m.rest()
}

// Secret changes the secrets of an object.
func (m *machine) Secret(t *rapid.T) {
	id := rapid.SampledFrom(objectIDs).Draw(t, "object")
	value := rapid.SampledFrom([]string{"", "first-value", "second-value"}).Draw(t, "secret")
	var names []string
	if value != "" {
		names = []string{"x"}
	}
	m.p.send(link.HostPush, 0, func(e *link.Encoder) {
		e.PutPush(link.Secrets, link.SecretsGrant)
		e.PutSecrets(id, names, map[string]string{"x": value})
	})
	if m.secrets[id] = value; value == "" {
		delete(m.secrets, id)
	}
}

// Describe requests the description of an object.
func (m *machine) Describe(t *rapid.T) {
	id := rapid.SampledFrom(objectIDs).Draw(t, "object")
	n := m.p.request()
	m.p.sendText(link.Describe, n, string(id))
	switch v := m.objects[id]; {
	case v == nil:
		m.want[n] = "error not_found: unknown object"
	case v.broken:
		m.want[n] = fmt.Sprintf("error unavailable: %s does not load", id)
	default:
		m.want[n] = "described " + string(v.mode)
	}
}

// Idle queries whether the worker holds anything.
func (m *machine) Idle(*rapid.T) {
	n := m.p.request()
	m.p.send(link.Idle, n, nil)
	m.want[n] = fmt.Sprintf("idle %d", m.idle())
}

// Ping queries which requests have begun.
func (m *machine) Ping(*rapid.T) {
	n := m.p.request()
	m.p.send(link.Ping, n, nil)
	var running []uint64
	for _, c := range m.gates {
		running = append(running, c.id)
	}
	slices.Sort(running)
	m.want[n] = fmt.Sprint("running ", running)
}

// Check compares the frames that the worker has sent with those of the model.
func (m *machine) Check(t *rapid.T) {
	t.Helper()
	entered, lost, cancels := map[string]bool{}, 0, 0
	for _, f := range m.p.take() {
		switch f.typ {
		case link.HostCall:
			d := link.Decoder{B: f.body}
			ask := d.HostCallFields()
			switch {
			case ask.Service == link.Objects:
				tag := gateTag(t, &d)
				entered[tag] = true
				m.proxied[tag] = f.id
				if c := m.gates[tag]; c != nil && c.id != ask.Request {
					t.Fatalf("request %d calls the gate in the name of request %d", c.id, ask.Request)
				}
			case ask.Op == link.LogLost:
				lost++
			}
		case link.Cancel:
			cancels++
		default:
			m.compare(t, f)
		}
	}
	if len(m.want) > 0 {
		t.Fatalf("not answered: %v", m.want)
	}
	if !maps.Equal(entered, m.entered) {
		t.Fatalf("calls that have reached the gate: %v, want %v", entered, m.entered)
	}
	if lost != m.lost || cancels != m.cancels {
		t.Fatalf("%d lost instances and %d cancelled calls are reported, want %d and %d",
			lost, cancels, m.lost, m.cancels)
	}
	clear(m.entered)
	m.lost, m.cancels = 0, 0
}

// gateTag returns the argument of a script's call of the gate.
func gateTag(t *rapid.T, d *link.Decoder) string {
	t.Helper()
	c := d.ObjectCallFields()
	args, _, err := pyro.UnmarshalCall(codec.ByID(codec.Serpent), c.Payload, codec.Limits{})
	if err != nil || d.Err != nil || len(args) != 1 || c.To != "test.gate" {
		t.Fatalf("a call of another object: %+v: %v, %v", c, err, d.Err)
	}
	return fmt.Sprint(args[0])
}

// compare checks an answer.
func (m *machine) compare(t *rapid.T, f frame) {
	t.Helper()
	want, ok := m.want[f.id]
	if !ok {
		t.Fatalf("request %d has an answer that is not due: %+v", f.id, f)
	}
	delete(m.want, f.id)
	got := m.text(t, f)
	if class, rest, _ := strings.Cut(want, ": "); class == "exception RuntimeError" && rest != "" {
		if strings.HasPrefix(got, "exception RuntimeError") {
			return
		}
	}
	if !strings.HasPrefix(got, want) {
		t.Fatalf("request %d is answered %q, want %q", f.id, got, want)
	}
	if s := m.opened[f.id]; s != nil {
		delete(m.opened, f.id)
		d := link.Decoder{B: f.body}
		r, _, _ := d.ReplyFields()
		if s.id = r.Stream; s.a.open[s] {
			m.streams[s.id] = s
		}
	}
}

// text returns an answer in the form in which the model has it.
func (m *machine) text(t *rapid.T, f frame) string {
	t.Helper()
	switch f.typ {
	case link.Withdrawn:
		return "withdrawn"
	case link.Pong:
		var running []uint64
		d := link.Decoder{B: f.body}
		d.RunningFields(func(r link.Running) { running = append(running, r.ID) })
		slices.Sort(running)
		return fmt.Sprint("running ", running)
	case link.Described:
		r := decodeReply(t, f, codec.Serpent)
		switch {
		case r.exception:
			return "exception does not load"
		case r.err != nil:
			return fmt.Sprintf("error %v: %s", r.err.Code, r.err.Msg)
		}
		_, mode, _ := strings.Cut(r.text, `"instance":"`)
		return "described " + mode
	}
	if strings.HasPrefix(m.want[f.id], "idle") {
		d := link.Decoder{B: f.body}
		r, _, _ := d.ReplyFields()
		return fmt.Sprintf("idle %d", r.Payload[0])
	}
	format, ok := m.formats[f.id]
	if !ok {
		d := link.Decoder{B: f.body}
		r, _, _ := d.ReplyFields()
		return fmt.Sprintf("idle %d", r.Payload[0])
	}
	r := decodeReply(t, f, format)
	switch {
	case r.err != nil:
		return fmt.Sprintf("error %v: %s", r.err.Code, r.err.Msg)
	case r.exception:
		return "exception " + strings.TrimPrefix(r.text, "builtins.")
	case r.stream != 0:
		return "stream"
	case !r.more:
		return "end"
	}
	return r.text
}

// stop ends the worker. A worker that is to stop answers all requests first.
func (m *machine) stop(t *rapid.T) {
	if rapid.Bool().Draw(t, "kill") {
		return // the link ends with calls under way
	}
	m.p.send(link.Stop, 0, nil)
	for len(m.gates) > 0 {
		m.Check(t)
		m.answerGate(t, slices.Sorted(maps.Keys(m.gates))[0])
	}
	m.Check(t)
	if len(m.pending) > 0 {
		t.Fatalf("requests that are not answered: %v", m.pending)
	}
	if err := m.p.close(); err != nil {
		t.Fatalf("the worker ended with %v", err)
	}
	m.p.served <- nil // for the second close
}
