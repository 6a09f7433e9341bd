package web

import (
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
)

// conn is one connection. Its requests may run at the same time in HTTP/2.
type conn struct {
	s   *Server
	raw net.Conn
	key net.Conn // under which the server has it; guarded by the server's mu

	// Set before the first request:
	listener *transport.Listener
	channel  *transport.Channel
	peer     object.Peer

	oneways chan struct{} // one token for each running oneway call

	mu      sync.Mutex // guards the fields below
	shares  map[object.Principal]*connShare
	latest  object.Principal // of the last request; it has the idle connection
	running map[*exchange]struct{}
}

// connShare counts a connection among those of a principal that makes requests on it.
type connShare struct {
	share    *admit.Share
	requests int // running
}

// maxPrincipals bounds the principals that make requests on one connection at a time.
const maxPrincipals = 16

// maxOneways bounds the running oneway calls of one connection.
const maxOneways = 256

// admit returns an accepted connection, nil if the server has too many or drains.
func (s *Server) admit(nc net.Conn) *conn {
	c := &conn{
		s:       s,
		raw:     nc,
		key:     nc,
		oneways: make(chan struct{}, maxOneways),
		shares:  map[object.Principal]*connShare{},
		running: map[*exchange]struct{}{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || s.unauthenticated >= maxUnauthenticated || !s.sources.Add(nc) {
		return nil
	}
	if !s.cfg.Shares.Open() {
		s.sources.Remove(nc)
		return nil
	}
	s.conns[nc] = c
	s.unauthenticated++
	s.serving.Add(1)
	return c
}

// replace stores a connection under the connection that net/http uses. It reports false for one that was removed.
func (s *Server) replace(c *conn, nc net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c.key] != c {
		return false
	}
	delete(s.conns, c.key)
	c.key = nc
	s.conns[nc] = c
	return true
}

// remove forgets a connection that has ended.
func (s *Server) remove(nc net.Conn) {
	s.mu.Lock()
	c := s.conns[nc]
	if c == nil {
		s.mu.Unlock()
		return
	}
	delete(s.conns, nc)
	s.sources.Remove(c.raw)
	c.mu.Lock()
	if c.latest == "" {
		s.unauthenticated--
	}
	for _, sh := range c.shares {
		s.cfg.Shares.Exit(sh.share)
	}
	c.shares = nil
	c.mu.Unlock()
	s.mu.Unlock()
	s.cfg.Shares.Close()
	s.serving.Done()
}

// identify sets the identity that the connection proves.
func (c *conn) identify(ch *transport.Channel, l *listener) {
	local := l.from.Addr() // of a Unix socket
	if !strings.HasPrefix(local, "unix:") {
		local = ch.LocalAddr().String()
	}
	c.listener, c.channel, c.peer = l.from, ch, ch.Peer
	c.peer.Gateway = object.GatewayHTTP
	c.peer.Endpoint = &object.Endpoint{Listener: l.settings.Name, Local: local}
}

// forHTTP returns the connection for net/http, which requires a *tls.Conn for HTTP/2.
func (c *conn) forHTTP(ch *transport.Channel) net.Conn {
	if tc, ok := ch.Conn.(*tls.Conn); ok && tc.ConnectionState().NegotiatedProtocol == "h2" {
		return tc
	}
	return newStrict(ch.Conn)
}

// enter counts a request of a principal, and the connection in its share. The error is that of the principal's limit.
func (c *conn) enter(who object.Principal, p *policy.Policy, e *exchange) (*admit.Share, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	sh := c.shares[who]
	if sh == nil {
		if c.shares == nil || len(c.shares) >= maxPrincipals {
			return nil, object.Errorf(object.CodeExhausted,
				"limit exceeded: requests of %d principals on one connection; not executed", maxPrincipals)
		}
		share, err := c.s.cfg.Shares.Enter(who, p)
		if err != nil {
			c.s.cfg.Usage.OverConnections.Add(1)
			return nil, err
		}
		sh = &connShare{share: share}
		c.shares[who] = sh
	}
	if c.latest == "" {
		c.s.unauthenticated--
	}
	before := c.latest
	c.latest = who
	sh.requests++
	c.running[e] = struct{}{}
	c.releaseLocked(before)
	return sh.share, nil
}

// exit ends a request that enter counted.
func (c *conn) exit(who object.Principal, e *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, e)
	if sh := c.shares[who]; sh != nil {
		sh.requests--
		c.releaseLocked(who)
	}
}

// releaseLocked removes the connection from the share of a principal without requests, except the latest one.
func (c *conn) releaseLocked(who object.Principal) {
	sh := c.shares[who]
	if sh == nil || sh.requests > 0 || who == c.latest {
		return
	}
	delete(c.shares, who)
	c.s.cfg.Shares.Exit(sh.share)
}

// revoked returns the reason why the identity of the connection is no longer valid, nil if it is.
func (c *conn) revoked(now time.Time) error { return c.listener.Revoked(c.channel, now) }

// cutRevoked cancels the requests whose callers are no longer who they were.
func (c *conn) cutRevoked(snap *snapshot.Snapshot, now time.Time) {
	c.mu.Lock()
	var revoked []*exchange
	for e := range c.running {
		if e.changed(snap, now) {
			revoked = append(revoked, e)
		}
	}
	c.mu.Unlock()
	for _, e := range revoked {
		c.s.peerLog.Log(e.caller.Principal, slog.LevelWarn, "request cancelled: the caller's identity was revoked",
			"principal", string(e.caller.Principal), "peer", c.peer.Addr)
		e.cancel(dispatch.IdentityRevoked)
	}
}
