package worker

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hearthhost/hearth/object"
)

// The limits of every object in the model. They are small, so that calls often reach them.
const (
	modelQueue    = 2
	modelParallel = 2
	modelSessions = 2
	modelKeys     = 2 // instances of a keyed object
	modelSteps    = 20_000
)

// handoverKind is the way in which a version hands its state over.
type handoverKind string

const (
	handsOver   handoverKind = "returns state"
	noHandover  handoverKind = "not defined"
	badHandover handoverKind = "raises an error"
)

// modelVersion is the model of an objectVersion of the worker. Fields have the meaning that they have there.
type modelVersion struct {
	number   uint64
	id       object.ID
	mode     object.InstanceMode
	handover handoverKind
	badInit  bool // init raises an error
	broken   bool // the script does not load

	retired  bool
	heir     *modelVersion
	prev     *modelVersion
	estate   *modelState
	single   *modelInstance
	sessions map[uint64]*modelInstance
	keyed    map[object.ID]*modelInstance
	recent   []object.ID // the keys of keyed, the one whose last call came first at the front
	before   map[object.ID]*modelState
	waiting  []*modelCall
	working  int
}

// modelState is the state that one instance hands over to the next.
type modelState struct {
	settled bool
	n       *int           // nil: the next instance starts at 0
	waiter  *modelInstance // nil: not created yet
}

// modelInstance is an instance that counts its calls.
type modelInstance struct {
	v          *modelVersion
	id         object.ID
	live       bool // init has run
	handedOver bool
	n          int
	after      *modelState
	inherited  *int
	queue      []*modelCall
	max        int
	running    *modelCall
	open       map[*modelStream]bool
	closing    []*modelStream
	serving    bool // mode "call": it serves a stream and no other call
	ended      bool
	cut        bool
	heir       *modelState
	dead       bool
}

// modelStream is an item stream.
type modelStream struct {
	id    uint64 // 0: the reply has not been read
	a     *modelInstance
	tag   string // of its gate; empty: items come at once
	items int    // number of items
	next  int
}

// modelCall is a request for a call, or for the next item of a stream.
type modelCall struct {
	id        uint64
	to        object.ID
	conn      uint64
	method    object.Method
	arg       any
	chain     bool // it comes from the object itself
	next      bool
	stream    *modelStream // nil if next is set: the stream is gone
	a         *modelInstance
	v         *modelVersion // whose waiting list holds it
	cancelled bool
}

// model predicts the frames of a worker.
type model struct {
	objects map[object.ID]*modelVersion
	retired []*modelVersion // those that drainTimeout has not cut
	streams map[uint64]*modelStream
	pending map[uint64]*modelCall
	gates   map[string]*modelCall // held calls by tag
	secrets map[object.ID]string

	// Frames that the worker must have sent by now.
	want    map[uint64]string // answers by request
	opened  map[uint64]*modelStream
	entered map[string]bool // tags of calls that have reached the gate
	lost    int
	cancels int
}

func newModel() *model {
	return &model{
		objects: map[object.ID]*modelVersion{},
		streams: map[uint64]*modelStream{},
		pending: map[uint64]*modelCall{},
		gates:   map[string]*modelCall{},
		secrets: map[object.ID]string{},
		want:    map[uint64]string{},
		opened:  map[uint64]*modelStream{},
		entered: map[string]bool{},
	}
}

// answer predicts the answer of a request, which must come once.
func (m *model) answer(c *modelCall, format string, args ...any) {
	delete(m.pending, c.id)
	if old, ok := m.want[c.id]; ok {
		panic(fmt.Sprintf("the model answers request %d twice: %s", c.id, old))
	}
	m.want[c.id] = fmt.Sprintf(format, args...)
}

// refuse predicts an error.
func (m *model) refuse(c *modelCall, code object.Code, format string, args ...any) {
	m.answer(c, "error %v: %s", code, fmt.Sprintf(format, args...))
}

// call predicts a call that the host sends now.
func (m *model) call(id object.ID, c *modelCall) {
	m.pending[c.id] = c
	m.dispatch(m.objects[id], c)
}

// dispatch routes a call to the instance that its object's mode requires.
func (m *model) dispatch(v *modelVersion, c *modelCall) {
	switch {
	case v == nil:
		m.refuse(c, object.CodeNotFound, "unknown object")
		return
	case v.broken:
		m.refuse(c, object.CodeUnavailable, "%s does not load", v.id)
		return
	case (v.mode == object.Keyed) == (c.to == v.id):
		m.refuse(c, object.CodeNotFound, "unknown object")
		return
	case v.mode != object.PerCall && c.chain:
		m.refuse(c, object.CodeInvalid, "call cycle: %s is already waiting for this call", c.to)
		return
	}
	for prev := v.prev; prev != nil && v.mode != object.Keyed; prev = prev.prev {
		if a := prev.sessions[c.conn]; a != nil {
			m.enqueue(a, c)
			return
		}
	}
	switch v.mode {
	case object.Single:
		if v.single == nil {
			v.single = newModelInstance(v, modelQueue)
			if v.single.after = v.estate; v.estate != nil {
				v.estate.waiter = v.single
			}
			v.estate = nil
		}
		m.enqueue(v.single, c)
	case object.Session:
		a := v.sessions[c.conn]
		if a == nil {
			if len(v.sessions) >= modelSessions {
				const format = "limit exceeded: %d sessions of %s; not executed"
				m.refuse(c, object.CodeExhausted, format, modelSessions, v.id)
				return
			}
			a = newModelInstance(v, modelQueue)
			v.sessions[c.conn] = a
		}
		m.enqueue(a, c)
	case object.Keyed:
		m.keyed(v, c)
	default:
		m.parallel(v, c)
	}
}

// keyed gives a call to the instance of its key.
func (m *model) keyed(v *modelVersion, c *modelCall) {
	a := v.keyed[c.to]
	if a == nil {
		if len(v.keyed) == modelKeys && !m.unloadIdlest(v) {
			const format = "limit exceeded: %d instances of %s, none of them idle; not executed"
			m.refuse(c, object.CodeExhausted, format, modelKeys, v.id)
			return
		}
		a = newModelInstance(v, modelQueue)
		a.id = c.to
		if a.after = v.before[c.to]; a.after != nil {
			a.after.waiter = a
		}
		delete(v.before, c.to)
		v.keyed[c.to] = a
	}
	v.recent = append(slices.DeleteFunc(v.recent, func(id object.ID) bool { return id == c.to }), c.to)
	m.enqueue(a, c)
}

// unloadIdlest ends the idle instance whose last call came first. It reports whether there is one.
func (m *model) unloadIdlest(v *modelVersion) bool {
	i := slices.IndexFunc(v.recent, func(id object.ID) bool { return v.keyed[id].idle() })
	if i >= 0 {
		m.unload(v, v.recent[i])
	}
	return i >= 0
}

// unload ends an instance of a keyed object.
func (m *model) unload(v *modelVersion, id object.ID) {
	a := v.keyed[id]
	delete(v.keyed, id)
	v.recent = slices.DeleteFunc(v.recent, func(other object.ID) bool { return other == id })
	a.ended, a.cut = true, true
	m.run(a)
}

// rest is the effect of more time than an idle instance has.
func (m *model) rest() {
	m.cutRetired()
	for _, v := range m.objects {
		for id, a := range v.keyed {
			if a.idle() {
				m.unload(v, id)
			}
		}
		maps.DeleteFunc(v.before, func(_ object.ID, s *modelState) bool { return s.settled })
	}
}

// idle reports whether an instance has no call and no stream, and does not wait for a state.
func (a *modelInstance) idle() bool {
	return a.after == nil && a.running == nil && len(a.queue)+len(a.open) == 0
}

// parallel starts a call of mode "call", or lets it wait.
func (m *model) parallel(v *modelVersion, c *modelCall) {
	switch {
	case v.working < modelParallel:
		v.working++
		m.enqueue(newModelInstance(v, 1), c)
	case len(v.waiting) < modelQueue:
		c.v = v
		v.waiting = append(v.waiting, c)
	default:
		m.refuse(c, object.CodeExhausted, "limit exceeded: %d calls of %s are waiting; not executed", modelQueue, v.id)
	}
}

// freed starts the next waiting call when an instance of mode "call" has finished one.
func (m *model) freed(v *modelVersion) {
	v.working--
	if !v.retired && len(v.waiting) > 0 {
		c := v.waiting[0]
		v.waiting = v.waiting[1:]
		c.v = nil
		m.parallel(v, c)
	}
}

func newModelInstance(v *modelVersion, most int) *modelInstance {
	return &modelInstance{v: v, id: v.id, max: most, open: map[*modelStream]bool{}}
}

// enqueue gives an instance a call, or answers it.
func (m *model) enqueue(a *modelInstance, c *modelCall) {
	switch {
	case a.dead || a.ended && (!c.next || a.cut):
		m.refuse(c, object.CodeUnavailable, "the instance has ended; not executed")
		return
	case len(a.queue) >= a.max:
		m.refuse(c, object.CodeExhausted, "limit exceeded: %d calls are waiting for %s; not executed", a.max, a.id)
		return
	}
	c.a = a
	a.queue = append(a.queue, c)
	m.run(a)
}

// run does all that an instance can do until a call is held.
func (m *model) run(a *modelInstance) {
	if a.after != nil {
		if !a.after.settled {
			return
		}
		a.inherited, a.after = a.after.n, nil
	}
	for a.running == nil && !a.dead {
		var c *modelCall
		if len(a.queue) > 0 {
			c, a.queue = a.queue[0], a.queue[1:]
		}
		for _, s := range a.closing {
			delete(a.open, s)
		}
		a.closing = nil
		switch {
		case a.serving && len(a.open) == 0:
			if c != nil {
				m.gone(c)
			}
			m.die(a)
		case c != nil:
			m.serve(a, c)
		case a.ended || a.cut:
			m.settle(a)
			if a.cut || len(a.open) == 0 {
				m.die(a)
			}
			return
		default:
			return
		}
	}
}

// gone answers a request for an item of a stream that has ended.
func (m *model) gone(c *modelCall) {
	m.refuse(c, object.ErrStreamGone.Code, "%s", object.ErrStreamGone.Msg)
}

// die ends an instance and its streams.
func (m *model) die(a *modelInstance) {
	a.dead = true
	m.settle(a)
	m.dropStreams(a)
	for _, c := range a.queue {
		m.refuse(c, object.CodeUnavailable, "the instance has ended; not executed")
	}
	a.queue = nil
}

func (m *model) dropStreams(a *modelInstance) {
	for s := range a.open {
		delete(m.streams, s.id)
	}
	clear(a.open)
}

// settle hands the state over, if a successor is to have it.
func (m *model) settle(a *modelInstance) {
	e := a.heir
	if e == nil {
		return
	}
	a.heir = nil
	e.n, e.settled = m.handover(a), true
	if e.waiter != nil {
		m.run(e.waiter)
	}
}

// handover returns the count that an instance hands over, nil if it hands none over.
func (m *model) handover(a *modelInstance) *int {
	switch {
	case !a.live || a.handedOver || a.v.handover == noHandover:
		return a.inherited
	case a.v.handover == badHandover:
		return nil
	}
	a.handedOver = true
	n := a.n
	return &n
}

// serve runs one call until it is answered or held.
func (m *model) serve(a *modelInstance, c *modelCall) {
	perCall := a.v.mode == object.PerCall
	if c.cancelled {
		m.refuse(c, object.CodeCanceled, "the call was cancelled; not executed")
		m.served(a, c)
		return
	}
	if !a.live || perCall && !c.next {
		if a.v.badInit {
			m.answer(c, "error raised: init fails")
			m.served(a, c)
			return
		}
		a.live, a.n = true, 0
		if a.inherited != nil {
			a.n = *a.inherited
		}
		a.inherited = nil
	}
	switch {
	case c.next && !a.open[c.stream]:
		m.gone(c)
	case c.next:
		m.item(a, c)
	default:
		m.method(a, c)
	}
	if a.running == nil {
		m.served(a, c)
	}
}

// method runs a method.
func (m *model) method(a *modelInstance, c *modelCall) {
	if c.method != "none" {
		a.n++
	}
	switch c.method {
	case "inc":
		m.answer(c, "%d:%d", a.v.number, a.n)
	case "hold":
		m.hold(a, c, c.arg.(string))
	case "fail":
		m.answer(c, "exception RuntimeError: no")
	case "burn":
		m.refuse(c, object.CodeExhausted, "limit exceeded: %d steps; the call was executed in part", modelSteps)
		m.broken(a)
	case "secret":
		if s, ok := m.secrets[a.v.id]; ok {
			m.answer(c, "%s", s)
		} else {
			m.answer(c, "exception RuntimeError: no secret")
		}
	case "items", "gated":
		s := &modelStream{a: a}
		if c.method == "gated" {
			s.tag, s.items = c.arg.(string), 2
		} else {
			s.items = c.arg.(int)
		}
		a.open[s] = true
		m.opened[c.id] = s
		m.answer(c, "stream")
		if a.v.mode == object.PerCall {
			a.serving = true
			m.freed(a.v)
		}
	default:
		m.refuse(c, object.CodeNotFound, "no such method or attribute")
	}
}

// item runs a stream for its next item.
func (m *model) item(a *modelInstance, c *modelCall) {
	s := c.stream
	s.next++
	switch {
	case s.next > s.items:
		m.answer(c, "end")
		m.drop(s)
	case s.tag != "":
		m.hold(a, c, s.tag)
	default:
		m.answer(c, "%d:%d", a.v.number, s.next)
	}
}

func (m *model) drop(s *modelStream) {
	delete(m.streams, s.id)
	delete(s.a.open, s)
}

// hold stops a call at the gate.
func (m *model) hold(a *modelInstance, c *modelCall, tag string) {
	a.running = c
	m.gates[tag] = c
	m.entered[tag] = true
}

// served is called when a call of an instance has been answered.
func (m *model) served(a *modelInstance, c *modelCall) {
	if a.v.mode == object.PerCall && !a.serving && !c.next {
		a.dead = true
		m.freed(a.v)
	}
}

// broken ends the state of an instance, whose call was ended by a limit.
func (m *model) broken(a *modelInstance) {
	m.dropStreams(a)
	if a.v.mode != object.PerCall {
		m.lost++
	}
	if a.v.mode == object.Single || a.v.mode == object.Keyed {
		a.inherited = m.handover(a)
	}
	a.live, a.handedOver = false, false
}

// release answers the gate of a held call. The script receives value, or an error if value is empty.
func (m *model) release(tag, value string) {
	c := m.gates[tag]
	delete(m.gates, tag)
	a := c.a
	a.running = nil
	switch {
	case value == "" && c.next:
		m.answer(c, "exception RuntimeError: gate")
		m.drop(c.stream)
	case value == "":
		m.answer(c, "exception RuntimeError: gate")
	case c.next:
		m.answer(c, "%d:%d", a.v.number, c.stream.next)
	default:
		m.answer(c, "%d:%d:%s", a.v.number, a.n, value)
	}
	m.served(a, c)
	m.run(a)
}

// cancel cancels a request.
func (m *model) cancel(c *modelCall) {
	if c.a == nil || c.a.running != c {
		c.cancelled = true
		return
	}
	a := c.a
	for tag, held := range m.gates {
		if held == c {
			delete(m.gates, tag)
		}
	}
	m.cancels++
	a.running = nil
	m.refuse(c, object.CodeCanceled, "the call was cancelled; it was executed in part")
	m.broken(a)
	m.served(a, c)
	m.run(a)
}

// withdraw takes back a call that has not begun.
func (m *model) withdraw(c *modelCall) {
	switch {
	case c.v != nil:
		c.v.waiting = slices.DeleteFunc(c.v.waiting, func(other *modelCall) bool { return other == c })
	case slices.Contains(c.a.queue, c):
		c.a.queue = slices.DeleteFunc(c.a.queue, func(other *modelCall) bool { return other == c })
	default:
		return
	}
	m.answer(c, "withdrawn")
}

// use puts a version into use.
func (m *model) use(v *modelVersion) {
	v.sessions = map[uint64]*modelInstance{}
	v.keyed, v.before = map[object.ID]*modelInstance{}, map[object.ID]*modelState{}
	old := m.objects[v.id]
	m.objects[v.id] = v
	if old == nil {
		return
	}
	v.estate = old.estate
	if old.single != nil {
		v.estate = &modelState{}
		old.single.ended, old.single.heir = true, v.estate
	}
	v.before = old.before
	for id, a := range old.keyed {
		v.before[id] = &modelState{}
		a.ended, a.heir = true, v.before[id]
	}
	if old.holdsSessions() {
		v.prev = old
	}
	m.retire(old, v)
}

// retire replaces a version by heir, nil if the object is removed.
func (m *model) retire(v, heir *modelVersion) {
	v.retired, v.heir = true, heir
	m.retired = append(m.retired, v)
	single, moved := v.single, v.waiting
	v.single, v.waiting, v.estate = nil, nil, nil
	if single != nil {
		single.ended = true
		m.run(single)
	}
	for _, a := range v.keyed {
		a.ended = true
		m.run(a)
	}
	v.keyed, v.before, v.recent = nil, nil, nil
	for _, c := range moved {
		c.v = nil
		m.dispatch(heir, c)
	}
}

// remove removes an object.
func (m *model) remove(id object.ID) {
	v := m.objects[id]
	delete(m.objects, id)
	m.retire(v, nil)
	m.cut(v)
}

// cut ends the sessions and streams of a retired version.
func (m *model) cut(v *modelVersion) {
	ending := slices.Collect(maps.Values(v.sessions))
	clear(v.sessions)
	for _, s := range m.streams {
		if s.a.v == v {
			ending = append(ending, s.a)
		}
	}
	for _, a := range ending {
		a.ended, a.cut = true, true
		m.run(a)
	}
}

// cutRetired is the effect of drainTimeout.
func (m *model) cutRetired() {
	for _, v := range m.retired {
		m.cut(v)
	}
	m.retired = nil
}

// endConn ends the sessions of a connection.
func (m *model) endConn(conn uint64) {
	for _, v := range m.objects {
		for ; v != nil; v = v.prev {
			if a := v.sessions[conn]; a != nil {
				delete(v.sessions, conn)
				a.ended = true
				m.run(a)
			}
		}
	}
}

// closeStream ends a stream early.
func (m *model) closeStream(s *modelStream) {
	delete(m.streams, s.id)
	s.a.closing = append(s.a.closing, s)
	m.run(s.a)
}

func (v *modelVersion) holdsSessions() bool {
	return v != nil && (len(v.sessions) > 0 || v.prev.holdsSessions())
}

// remembers reports whether an instance or a waiting call would be lost with the worker.
func (v *modelVersion) remembers() bool {
	return v != nil && (v.single != nil || v.estate != nil || v.prev.remembers() ||
		len(v.sessions)+len(v.keyed)+len(v.before)+len(v.waiting)+v.working > 0)
}

// idle predicts the answer of an Idle frame.
func (m *model) idle() byte {
	if len(m.pending)+len(m.streams) > 0 {
		return 0
	}
	for _, v := range m.objects {
		if v.remembers() {
			return 1
		}
	}
	return 2
}

// source returns the script of a version.
func (v *modelVersion) source() string {
	if v.broken {
		return "local x = = 1"
	}
	s := fmt.Sprintf("local V = %d\nlocal O = hearth.object { instance = %q }\n", v.number, string(v.mode))
	switch {
	case v.badInit:
		s += "function O:init() error('init fails', 0) end\n"
	case v.mode == object.Keyed:
		s += "function O:init(key, state) assert(type(key) == 'string') self.n = state and state.n or 0 end\n"
	default:
		s += "function O:init(state) self.n = state and state.n or 0 end\n"
	}
	if v.mode == object.Single || v.mode == object.Keyed {
		switch v.handover {
		case handsOver:
			s += "function O:handover() return { n = self.n } end\n"
		case badHandover:
			s += "function O:handover() error('handover fails') end\n"
		case noHandover:
		}
	}
	return s + `
local function count(self) self.n = self.n + 1 end
local function gate(tag) return hearth.proxy("test.gate"):pass(tag) end
function O.expose:inc() count(self) return V .. ":" .. self.n end
function O.expose:hold(tag) count(self) local r = gate(tag) return V .. ":" .. self.n .. ":" .. tostring(r) end
function O.expose:fail() count(self) error("no") end
function O.expose:burn() count(self) while true do end end
function O.expose:secret() count(self) return hearth.secret("x") end
function O.expose:items(k)
	count(self)
	local i = 0
	return hearth.stream(function() i = i + 1 if i <= k then return V .. ":" .. i end end)
end
function O.expose:gated(tag)
	count(self)
	local i = 0
	return hearth.stream(function() i = i + 1 if i <= 2 then gate(tag) return V .. ":" .. i end end)
end
return O`
}
