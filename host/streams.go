package host

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// Bounds on item streams.
const (
	maxStreams   = 64               // open, of one principal, where the policy sets no other bound
	streamLinger = 30 * time.Second // after its connection ended, as in Pyro
	streamIdle   = 10 * time.Minute // between two items
)

// stream is an open item stream. Its id is unguessable, and useless to anybody but the
// principal that opened it.
type stream struct {
	owner   object.Principal
	conn    uint64 // 0: its connection has ended
	id      object.ID
	method  object.Method
	backend object.Backend
	number  uint64 // the backend's name for it
	expires time.Time
	busy    bool // an item is being fetched
}

// streams is the table of open streams. Safe for concurrent use.
type streams struct {
	mu   sync.Mutex // guards what follows
	open map[string]*stream
	of   map[object.Principal]int // open streams by owner
}

func (s *streams) init() { s.open, s.of = map[string]*stream{}, map[object.Principal]int{} }

// add makes a stream known and returns its id; ok is false if its owner has that many already.
func (s *streams) add(st *stream, most int) (id string, ok bool) {
	id = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[st.owner] >= most {
		return "", false
	}
	s.of[st.owner]++
	st.expires = time.Now().Add(streamIdle)
	s.open[id] = st
	return id, true
}

// forgetLocked takes a stream out of the table.
func (s *streams) forgetLocked(id string, st *stream) {
	delete(s.open, id)
	if s.of[st.owner]--; s.of[st.owner] == 0 {
		delete(s.of, st.owner)
	}
}

// count returns how many are open.
func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// borrow returns the caller's stream for fetching one item, nil if there is none of
// that id that is the caller's and not in use.
func (s *streams) borrow(id string, caller object.Principal, conn uint64) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.open[id]
	if st == nil || st.owner != caller || st.busy {
		return nil
	}
	st.busy, st.conn = true, conn
	return st
}

// giveBack ends a borrow; over forgets the stream.
func (s *streams) giveBack(id string, st *stream, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.busy = false
	st.expires = time.Now().Add(streamIdle)
	if over && s.open[id] == st { // it may have been closed meanwhile
		s.forgetLocked(id, st)
	}
}

// close ends the caller's stream early. Unknown ids, and those of others, are ignored.
func (s *streams) close(id string, caller object.Principal) {
	s.mu.Lock()
	st := s.open[id]
	if st == nil || st.owner != caller {
		s.mu.Unlock()
		return
	}
	s.forgetLocked(id, st)
	s.mu.Unlock()
	st.backend.CloseStream(st.number)
}

// orphan starts the linger time of a connection's streams.
func (s *streams) orphan(conn uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		if st.conn == conn {
			st.conn = 0
			st.expires = time.Now().Add(streamLinger)
		}
	}
}

// sweep ends streams whose time is up, until ctx is done.
func (s *streams) sweep(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.expire(now)
		}
	}
}

func (s *streams) expire(now time.Time) {
	var old []*stream
	s.mu.Lock()
	for id, st := range s.open {
		if !st.busy && now.After(st.expires) {
			old = append(old, st)
			s.forgetLocked(id, st)
		}
	}
	s.mu.Unlock()
	for _, st := range old {
		st.backend.CloseStream(st.number)
	}
}

// openStream answers a call whose result is an item stream.
func (c *conn) openStream(answer *wire.Message, ser codec.Serializer, call *object.Call, number uint64) bool {
	backend := c.ran
	c.touched.add(backend, call.ID)
	most := c.h.snap.Load().policy.ShareOf(c.caller.Principal).Streams
	if most == 0 {
		most = maxStreams
	}
	id, ok := c.h.streams.add(&stream{owner: c.caller.Principal, conn: c.id, id: call.ID, method: call.Method,
		backend: backend, number: number}, most)
	if !ok {
		backend.CloseStream(number)
		return c.fail(answer, ser, object.Errorf(object.CodeExhausted,
			"limit exceeded: %d item streams of principal %s are open: close some, or set streams in a limit block of the "+
				"host's policy; the call was executed", most, c.caller.Principal))
	}
	answer.Flags |= wire.ItemStream
	answer.Annotations = []wire.Annotation{{ID: [4]byte{'S', 'T', 'R', 'M'}, Value: []byte(id)}}
	return c.fail(answer, ser, &object.Error{Code: object.CodeInvalid, Class: "ProtocolError", Msg: "result of call is an iterator"})
}

// nextItem fetches one item of a stream, deciding anew whether its caller still may.
func (c *conn) nextItem(snap *snapshot, call *object.Call, id string) (object.Reply, error) {
	st := c.h.streams.borrow(id, c.caller.Principal, c.id)
	if st == nil {
		return object.Reply{}, object.ErrStreamGone
	}
	over := true
	defer func() { c.h.streams.giveBack(id, st, over) }()
	item := *call
	item.ID, item.Kind, item.Method, item.Payload = st.id, object.Invoke, st.method, nil
	g, err := c.h.authorize(snap, &item)
	switch {
	case errors.Is(err, errUnknown): // the policy changed its mind
		st.backend.CloseStream(st.number)
		return object.Reply{}, object.ErrStreamGone
	case err != nil: // too often, say: the item can be asked for again
		over = false
		return object.Reply{}, err
	}
	defer c.h.release(g)
	r, more, err := c.h.next(context.Background(), st.backend, &item, st.number)
	if errors.Is(err, errUnknown) { // likewise, while the item waited
		st.backend.CloseStream(st.number)
		return object.Reply{}, object.ErrStreamGone
	}
	if err != nil {
		return object.Reply{}, err
	}
	if !more && !r.Exception {
		return object.Reply{}, &object.Error{Code: object.CodeRaised, Class: "StopIteration"}
	}
	over = r.Exception
	return r, nil
}
