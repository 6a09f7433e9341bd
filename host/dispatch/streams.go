package dispatch

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/hearthhost/hearth/internal/tick"
	"github.com/hearthhost/hearth/object"
)

// Bounds on item streams.
const (
	MaxStreams   = 64               // open streams of one principal, if the policy sets no bound
	streamLinger = 30 * time.Second // after the end of its session, as in Pyro
	streamIdle   = 10 * time.Minute // between two items
)

// stream is an open item stream. Its id cannot be guessed, and no other principal than its owner can use it.
type stream struct {
	owner   object.Principal
	session uint64 // id of its session, 0 after the end of the session
	id      object.ID
	method  object.Method
	backend object.Backend
	number  uint64 // number of the stream in the backend
	expires time.Time
	busy    bool // an item is being fetched
}

// streams is the table of open streams. It is safe for concurrent use.
type streams struct {
	mu     sync.Mutex // guards the fields below
	open   map[string]*stream
	counts map[object.Principal]int // open streams by owner
}

func (s *streams) init() { s.open, s.counts = map[string]*stream{}, map[object.Principal]int{} }

// add registers a stream and returns its id; ok is false if its owner has too many.
func (s *streams) add(st *stream, most int) (id string, ok bool) {
	id = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[st.owner] >= most {
		return "", false
	}
	s.counts[st.owner]++
	st.expires = time.Now().Add(streamIdle)
	s.open[id] = st
	return id, true
}

// removeLocked removes a stream.
func (s *streams) removeLocked(id string, st *stream) {
	delete(s.open, id)
	s.counts[st.owner]--
	if s.counts[st.owner] == 0 {
		delete(s.counts, st.owner)
	}
}

// count returns the number of open streams.
func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// of returns the number of open streams of a principal.
func (s *streams) of(owner object.Principal) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[owner]
}

// checkOut reserves a stream for fetching one item. It returns nil if the caller has no stream of that id or it is
// busy.
func (s *streams) checkOut(id string, caller object.Principal, session uint64) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.open[id]
	if st == nil || st.owner != caller || st.busy {
		return nil
	}
	st.busy, st.session = true, session
	return st
}

// checkIn ends a reservation of checkOut. over removes the stream.
func (s *streams) checkIn(id string, st *stream, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.busy = false
	st.expires = time.Now().Add(streamIdle)
	if over && s.open[id] == st { // not closed meanwhile
		s.removeLocked(id, st)
	}
}

// close ends the caller's stream early. It ignores unknown ids and those of other principals.
func (s *streams) close(id string, caller object.Principal) {
	s.mu.Lock()
	st := s.open[id]
	if st == nil || st.owner != caller {
		s.mu.Unlock()
		return
	}
	s.removeLocked(id, st)
	s.mu.Unlock()
	st.backend.CloseStream(st.number)
}

// orphan starts the linger time of a session's streams.
func (s *streams) orphan(session uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		if st.session == session {
			st.session = 0
			st.expires = time.Now().Add(streamLinger)
		}
	}
}

// SweepStreams closes expired streams until ctx is done.
func (d *Dispatcher) SweepStreams(ctx context.Context) {
	tick.Every(ctx, time.Second, func(now time.Time) bool {
		d.streams.expire(now)
		return true
	})
}

// expire closes the streams whose time is over, except busy ones.
func (s *streams) expire(now time.Time) {
	var expired []*stream
	s.mu.Lock()
	for id, st := range s.open {
		if !st.busy && now.After(st.expires) {
			expired = append(expired, st)
			s.removeLocked(id, st)
		}
	}
	s.mu.Unlock()
	for _, st := range expired {
		st.backend.CloseStream(st.number)
	}
}

// Streams returns the number of open item streams.
func (d *Dispatcher) Streams() int { return d.streams.count() }

// openStream registers the stream that a call opened, and sets the request's Stream.
func (d *Dispatcher) openStream(r *Request, backend object.Backend, reply object.Reply) (object.Reply, error) {
	r.Session.touch(backend, r.ID, "")
	owner := r.Caller.Principal
	most := d.cfg.Snapshot().Policy.ShareOf(owner).Streams
	if most == 0 {
		most = MaxStreams
	}
	id, ok := d.streams.add(&stream{
		owner:   owner,
		session: r.Session.id,
		id:      r.ID,
		method:  r.Method,
		backend: backend,
		number:  reply.Stream,
	}, most)
	if !ok {
		backend.CloseStream(reply.Stream)
		return object.Reply{}, object.Errorf(object.CodeExhausted,
			"limit exceeded: %d item streams of principal %s are open: close some, or set streams in a limit block of "+
				"the host's policy; the call was executed", most, owner)
	}
	r.Stream = id
	return reply, nil
}

// Next fetches one item of a stream of the call's principal. It is authorized as a call of the object's method. The
// call's id, method and payload are not used.
func (d *Dispatcher) Next(ctx context.Context, call *object.Call, id string) (object.Reply, error) {
	st := d.streams.checkOut(id, call.Caller.Principal, call.Conn)
	if st == nil {
		return object.Reply{}, object.ErrStreamGone
	}
	over := true
	defer func() { d.streams.checkIn(id, st, over) }()
	item := *call
	item.ID, item.Method = st.id, st.method
	item.Kind, item.Payload = object.Invoke, nil
	snap := d.cfg.Snapshot()
	to, exists := snap.Routes.Lookup(item.ID)
	g, err := d.authorize(snap, trail{}, &item, to, exists, time.Now())
	switch {
	case errors.Is(err, ErrUnknown): // no longer permitted
		st.backend.CloseStream(st.number)
		return object.Reply{}, object.ErrStreamGone
	case err != nil: // a limit: the client can try the same item again
		over = false
		return object.Reply{}, err
	}
	defer d.release(g)
	r, more, err := d.runNext(ctx, st, &item)
	if err != nil {
		st.backend.CloseStream(st.number) // the item may not have begun: the backend has the stream then
		if errors.Is(err, ErrUnknown) {   // no longer permitted, while the item waited
			err = object.ErrStreamGone
		}
		return object.Reply{}, err
	}
	if !more && !r.Exception {
		return object.Reply{}, &object.Error{Code: object.CodeRaised, Reason: object.ReasonStreamEnd}
	}
	over = r.Exception
	return r, nil
}

// runNext fetches an item from the backend, counted and traced as a call. The end of a stream does not count as a
// failure.
func (d *Dispatcher) runNext(ctx context.Context, st *stream, item *object.Call) (object.Reply, bool, error) {
	counters := d.cfg.Usage.Object(item.ID)
	tracer := d.tracer.Load()
	start := counters.Begin(item)
	span := tracer.Begin(item, start)
	r, more, err := st.backend.Next(ctx, item, st.number)
	if object.Retired(err) {
		err = object.ErrShutdown
	}
	counters.End(start, &r, err)
	tracer.End(span, item, &r, err)
	if err != nil {
		d.noteCancelled(ctx, item, err)
	}
	return r, more, err
}

// CloseStream closes a principal's stream early. It ignores unknown ids and those of other principals.
func (d *Dispatcher) CloseStream(id string, owner object.Principal) { d.streams.close(id, owner) }
