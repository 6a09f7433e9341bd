package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// idleCheck is the idle time after which a pooled connection is checked before use. Without the check, a connection
// that the server has closed would fail a call.
const idleCheck = time.Second

// Client calls objects at one address. Safe for concurrent use.
type Client struct {
	cfg           Config
	ser           codec.Serializer
	network, addr string
	slots         semaphore     // bounds the connections in use
	done          chan struct{} // closed by Close
	web           *webClient    // nil for a client that does not speak HTTP

	mu     sync.Mutex // guards the fields below
	idle   []*conn    // most recently used last
	open   map[*conn]bool
	closed bool
}

// errClosed is the cause of errors after Close.
var errClosed = errors.New("the client is closed")

// connSource lends connections: a Client lends those of its pool, a Session its only one.
type connSource interface {
	acquire(ctx context.Context) (*conn, error)
	// release returns the connection. It closes it unless keep is set.
	release(c *conn, keep bool)
	// pin returns a source that lends the same connection until unpin.
	pin(ctx context.Context) (source connSource, unpin func(), err error)
}

// Close closes all connections. Running calls fail. It always returns nil.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	close(c.done)
	if c.web != nil {
		c.web.close()
	}
	for one := range c.open {
		one.nc.Close()
	}
	for _, one := range c.idle {
		one.watch.close()
	}
	c.idle, c.open = nil, nil
	return nil
}

func (c *Client) acquire(ctx context.Context) (*conn, error) {
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		c.slots.leave()
		return nil, wrapError(ctx, No, "before the call", err)
	}
	for {
		one, err := c.pop()
		if err != nil {
			c.slots.leave()
			return nil, wrapError(ctx, No, "", err)
		}
		if one == nil {
			break
		}
		if time.Since(one.idleSince) < idleCheck && one.in.Buffered() == 0 || one.alive() {
			return one, nil
		}
		c.forget(one)
	}
	one, err := c.dial(ctx)
	if err != nil {
		c.slots.leave()
		return nil, err
	}
	return one, nil
}

// wait waits for a free slot and takes it.
func (c *Client) wait(ctx context.Context) error {
	turn := c.slots.enter()
	if turn == nil {
		return nil
	}
	var timeout <-chan time.Time
	if _, ok := ctx.Deadline(); !ok && c.cfg.Timeout > 0 {
		t := time.NewTimer(c.cfg.Timeout)
		defer t.Stop()
		timeout = t.C
	}
	var err error
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		err = wrapError(ctx, No, "waiting for a connection", ctx.Err())
	case <-timeout:
		err = &CallError{Executed: No, Err: &object.Error{
			Code: object.CodeDeadline,
			Msg:  "waiting for a connection",
			Err:  context.DeadlineExceeded,
		}}
	case <-c.done:
		err = wrapError(ctx, No, "", errClosed)
	}
	c.slots.cancel(turn)
	return err
}

// pop removes the most recently used idle connection. It returns nil if all are in use.
func (c *Client) pop() (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	if len(c.idle) == 0 {
		return nil, nil
	}
	last := len(c.idle) - 1
	one := c.idle[last]
	c.idle[last] = nil
	c.idle = c.idle[:last]
	return one, nil
}

func (c *Client) release(one *conn, keep bool) {
	if keep {
		one.idleSince = time.Now()
		one.trim()
		c.mu.Lock()
		keep = !c.closed
		if keep {
			c.idle = append(c.idle, one)
		}
		c.mu.Unlock()
	}
	if !keep {
		c.forget(one)
	}
	c.slots.leave()
}

func (c *Client) forget(one *conn) {
	one.nc.Close()
	one.watch.close()
	c.mu.Lock()
	delete(c.open, one)
	c.mu.Unlock()
}

func (c *Client) pin(ctx context.Context) (connSource, func(), error) {
	one, err := c.acquire(ctx)
	if err != nil {
		return nil, nil, err
	}
	s := newSession(c, one)
	return s, func() { s.end(true) }, nil
}
