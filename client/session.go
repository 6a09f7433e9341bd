package client

import (
	"context"
	"errors"

	"github.com/hearthhost/hearth/object"
)

// Session is one connection kept for a series of calls, which objects of instance mode
// "session" take for one conversation. Calls of one session run one at a time. Once its
// connection is lost a session is of no more use. Safe for concurrent use.
type Session struct {
	client *Client
	turn   chan struct{} // holds a token while somebody uses one
	one    *conn         // nil once lost or closed; guarded by turn
}

var errSession = errors.New("the session's connection is closed")

// Session takes a connection out of the pool's count until the session's Close. It is a
// new one, so that nothing an earlier user left on the server is met.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	select {
	case c.slots <- struct{}{}:
	default:
		if err := c.wait(ctx); err != nil {
			return nil, err
		}
	}
	one, err := c.dial(ctx)
	if err != nil {
		<-c.slots
		return nil, err
	}
	return newSession(c, one), nil
}

func newSession(c *Client, one *conn) *Session {
	return &Session{client: c, turn: make(chan struct{}, 1), one: one}
}

// Object names an object to call over this session.
func (s *Session) Object(id object.ID) *Object { return newObject(s.client, s, id) }

// Close closes the connection, after a call under way. It always returns nil.
func (s *Session) Close() error {
	s.end(false)
	return nil
}

func (s *Session) end(keep bool) {
	s.turn <- struct{}{}
	if s.one != nil {
		s.client.release(s.one, keep)
		s.one = nil
	}
	<-s.turn
}

func (s *Session) acquire(ctx context.Context) (*conn, error) {
	select {
	case s.turn <- struct{}{}:
	default:
		select {
		case s.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, failed(ctx, No, "waiting for the session", ctx.Err())
		}
	}
	if s.one == nil {
		<-s.turn
		return nil, failed(ctx, No, "", errSession)
	}
	return s.one, nil
}

func (s *Session) release(one *conn, keep bool) {
	if !keep {
		s.client.release(one, false)
		s.one = nil
	}
	<-s.turn
}

func (s *Session) pin(context.Context) (runner, func(), error) { return s, func() {}, nil }
