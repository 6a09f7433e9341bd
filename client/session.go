package client

import (
	"context"
	"errors"
	"net/http"

	"github.com/hearthhost/hearth/object"
)

// Session is one connection for a series of calls. Objects of instance mode "session" have one instance for it. The
// calls of a session run one at a time. A session is unusable after its connection is lost. Safe for concurrent use.
type Session struct {
	client *Client
	busy   semaphore // held while a call uses one
	one    *conn     // nil after it was lost or closed; guarded by busy
	web    string    // id of the session, if the client speaks HTTP
}

var errSession = errors.New("the session's connection is closed")

// Session opens a connection that counts against MaxConns until Close. It is a new connection: the server has no
// state of earlier users of the pool for it.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	if c.web != nil {
		id, err := c.web.session(ctx, http.MethodPost, "")
		return &Session{client: c, web: id}, err
	}
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	one, err := c.dial(ctx)
	if err != nil {
		c.slots.leave()
		return nil, err
	}
	return newSession(c, one), nil
}

func newSession(c *Client, one *conn) *Session {
	return &Session{client: c, busy: semaphore{free: 1}, one: one}
}

// Object returns an object whose calls use this session.
func (s *Session) Object(id object.ID) *Object { return newObject(s.client, s, id) }

// Close closes the connection after the running call. It always returns nil.
func (s *Session) Close() error {
	if s.client.web != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		_, _ = s.client.web.session(ctx, http.MethodDelete, s.web) // otherwise it ends later, without requests
		return nil
	}
	s.end(false)
	return nil
}

func (s *Session) end(keep bool) {
	if turn := s.busy.enter(); turn != nil {
		<-turn
	}
	if s.one != nil {
		s.client.release(s.one, keep)
		s.one = nil
	}
	s.busy.leave()
}

func (s *Session) acquire(ctx context.Context) (*conn, error) {
	if turn := s.busy.enter(); turn != nil {
		select {
		case <-turn:
		case <-ctx.Done():
			s.busy.cancel(turn)
			return nil, wrapError(ctx, No, "waiting for the session", ctx.Err())
		}
	}
	if s.one == nil {
		s.busy.leave()
		return nil, wrapError(ctx, No, "", errSession)
	}
	return s.one, nil
}

func (s *Session) release(one *conn, keep bool) {
	if !keep {
		s.client.release(one, false)
		s.one = nil
	}
	s.busy.leave()
}

func (s *Session) pin(context.Context) (connSource, func(), error) { return s, func() {}, nil }
