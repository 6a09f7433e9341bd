package pyro

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"

	"github.com/hearthhost/hearth/gateway/pyro/handshake"
	"github.com/hearthhost/hearth/gateway/pyro/socket"
	"github.com/hearthhost/hearth/transport"
)

// During an upgrade the old process passes its connections to the new one, each between two messages. A plain
// connection is passed as its socket. The keys of a TLS or HMAC channel do not leave the process: it relays the
// plaintext instead, until it ends.
//
// A connection stays if it has state here: an instance of mode "session", or an open item stream of its principal.
// Connections with signed messages of Pyro4 stay, too.

// Passage passes a connection to the new process. description is opaque. The implementation does not keep f.
type Passage func(description []byte, f *os.File) error

// passing is how a server passes its connections.
type passing struct {
	send      Passage
	listeners map[string]bool // names of the listeners of the new process
	strict    atomic.Bool     // connections that stay are closed
}

// Pass makes the server pass its connections to a process that has listeners of these names: connections that wait, at
// once, and others after their running call.
func (s *Server) Pass(listeners []string, send Passage) {
	p := &passing{send: send, listeners: map[string]bool{}}
	for _, name := range listeners {
		p.listeners[name] = true
	}
	s.passing.Store(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.socket.Notify()
	}
}

// EndStaying closes the connections that are not passed, after their running call. Call it after Pass.
func (s *Server) EndStaying() {
	s.passing.Load().strict.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.blocks.Load() {
			c.socket.Drain()
		} else {
			c.socket.Notify()
		}
	}
}

// Served returns the number of connections that are served here, not by the process that they were passed to.
func (s *Server) Served() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if !c.relayed.Load() {
			n++
		}
	}
	return n
}

// stays reports whether the connection remains in this process until its next message.
func (c *conn) stays() bool {
	p := c.s.passing.Load()
	return p == nil || c.kept && !p.strict.Load()
}

// pass passes the connection to the new process, and reports true when that has ended the connection here. The
// connection's goroutine calls it between two messages.
func (c *conn) pass() bool {
	if c.stays() || c.in.Buffered() > 0 || !c.partBy.IsZero() || c.revoked.Load() {
		return false
	}
	p := c.s.passing.Load()
	if c.parked.loop != nil && c.peer.Legacy == nil && c.adopt() {
		if !c.socket.Idle() {
			return false
		}
		c.oneways.Wait() // later calls run after them
		if c.passTo(p) {
			return true
		}
	}
	if p.strict.Load() {
		c.finish()
		return true
	}
	c.kept = true
	return false
}

// passTo is pass for an idle connection. It reports false if the connection has state in this process, or was not
// passed.
func (c *conn) passTo(p *passing) bool {
	id := c.peer.Identity()
	if !p.listeners[id.Listener] || !c.s.dispatch.Stateless(c.ctx, c.session, id.Principal) {
		return false
	}
	relay, err := c.sendTo(p, &id)
	if err != nil {
		c.s.log.Warn("a connection stays in the old process", "peer", id.Proof.Peer.Addr, "err", err)
		return false
	}
	c.dropBuffers()
	if relay != nil {
		c.relayed.Store(true)
		relay.Run()
	}
	c.finish()
	return true
}

// sendTo sends the connection. relay is nil if the other process has the socket.
func (c *conn) sendTo(p *passing, id *handshake.Identity) (relay *socket.Relay, err error) {
	description, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	f, relay, err := c.socket.Pass()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := p.send(description, f); err != nil {
		if relay != nil {
			relay.Close()
		}
		return nil, err
	}
	return relay, nil
}

// Take serves a connection that another process has passed. listener returns a listener by its name, nil for an unknown
// one. A connection that this host would not accept is closed. Take closes f.
func (s *Server) Take(description []byte, f *os.File, listener func(name string) *transport.Listener) {
	if err := s.take(description, f, listener); err != nil {
		s.usage.Rejected.Add(1)
		s.log.Info("a connection of the old process was closed", "err", err)
	}
}

func (s *Server) take(description []byte, f *os.File, listener func(name string) *transport.Listener) error {
	defer f.Close()
	var id handshake.Identity
	if err := json.Unmarshal(description, &id); err != nil {
		return err
	}
	l := listener(id.Listener)
	if l == nil {
		return fmt.Errorf("the policy has no listener %q any more", id.Listener)
	}
	nc, err := net.FileConn(f)
	if err != nil {
		return err
	}
	s.usage.Accepted.Add(1)
	c := newConn(s, nc, l, id.Listener)
	if !s.add(c, nc) {
		nc.Close()
		return errors.New("the host has too many connections, or ends")
	}
	go c.resume(nc, id) // ends with the connection, or when it is parked
	return nil
}

// resume serves a connection whose handshake another process has made.
func (c *conn) resume(nc net.Conn, id handshake.Identity) {
	c.begin()
	if err := c.resumeAs(nc, id); err != nil {
		c.log(slog.LevelInfo, "a connection of the old process was closed", "peer", id.Proof.Peer.Addr, "err", err)
		c.finish()
		return
	}
	c.run()
}

// resumeAs sets the identity of the peer.
func (c *conn) resumeAs(nc net.Conn, id handshake.Identity) error {
	snap := c.s.snapshot()
	ch, err := c.peer.Resume(nc, id, snap)
	if err != nil {
		return err
	}
	c.socket.Use(ch, c.wait)
	if err := c.enter(id.Principal, snap.Policy); err != nil {
		return err
	}
	c.in.Pin(id.Protocol)
	c.identified()
	return nil
}
