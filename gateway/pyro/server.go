// Package pyro serves the connections of Pyro4 and Pyro5 clients: the handshake, the order of messages, timeouts,
// memory and oneway calls of a connection. Each message becomes a request of the dispatcher, see package dispatch.
//
// A connection has one goroutine, and one more for each running oneway call.
package pyro

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/internal/hangup"
	"github.com/hearthhost/hearth/internal/peerlog"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
)

// Limits of connections.
const (
	MaxUnauthenticated = 10000 // connections before the end of their handshake
	MaxOneways         = 256   // running oneway calls of one connection
)

// Default timeouts of messages; see [Config].
const (
	defaultMessageTimeout = 2 * time.Minute
	defaultStallTimeout   = 20 * time.Second
	defaultWriteTimeout   = 20 * time.Second
)

// Config has the parts of a host with which a server works. All but the timeouts are required.
type Config struct {
	Dispatcher *dispatch.Dispatcher
	Snapshot   func() *snapshot.Snapshot // the current one
	Queue      *admit.FairQueue
	Shares     *admit.Shares
	Usage      *usage.Registry
	Log        *slog.Logger
	Loops      []*Loop         // park the connections that wait; none: each connection keeps its goroutine
	Life       context.Context // ends when the host drains: nothing waits for memory any longer

	// MessageTimeout bounds the time from the first to the last byte of a message, default 2 minutes. StallTimeout
	// bounds the time between two of its parts, default 20 seconds. A peer that does not read an answer is cut off
	// after WriteTimeout, default 20 seconds, or after at most twice that.
	MessageTimeout, StallTimeout, WriteTimeout time.Duration
}

// Server serves the connections of Pyro clients. It is safe for concurrent use.
type Server struct {
	dispatch *dispatch.Dispatcher
	snapshot func() *snapshot.Snapshot
	queue    *admit.FairQueue
	shares   *admit.Shares
	usage    *usage.Registry
	log      *slog.Logger
	life     context.Context
	loops    []*Loop
	nextLoop atomic.Uint32
	passing  atomic.Pointer[passing] // nil: connections are not passed to another process

	messageTimeout, stallTimeout, writeTimeout time.Duration

	watching   sync.Once // guards the setting of peers
	peerLog    *peerlog.Log
	roomLogged atomic.Pointer[time.Time] // time of the last log about closed connections; nil: none

	peers           *hangup.Watcher // of the clients; nil before Serve, and if the system has none
	mu              sync.Mutex      // guards the fields below
	conns           map[*conn]struct{}
	unauthenticated unauthenticated
	sources         admit.Sources
	draining        bool
	serving         sync.WaitGroup // accept loops and connections
}

// NewServer returns a server without listeners.
func NewServer(cfg Config) *Server {
	return &Server{
		dispatch:       cfg.Dispatcher,
		snapshot:       cfg.Snapshot,
		queue:          cfg.Queue,
		shares:         cfg.Shares,
		usage:          cfg.Usage,
		log:            cfg.Log,
		peerLog:        peerlog.New(cfg.Log),
		life:           cfg.Life,
		loops:          cfg.Loops,
		messageTimeout: cmp.Or(cfg.MessageTimeout, defaultMessageTimeout),
		stallTimeout:   cmp.Or(cfg.StallTimeout, defaultStallTimeout),
		writeTimeout:   cmp.Or(cfg.WriteTimeout, defaultWriteTimeout),
		conns:          map[*conn]struct{}{},
		sources:        admit.Sources{},
	}
}

// Serve accepts connections of a listener until it is closed. name is its name in the policy.
func (s *Server) Serve(l *transport.Listener, name string) {
	s.watching.Do(func() {
		peers, err := hangup.New()
		if err != nil {
			s.log.Warn("calls are not cancelled when their client is gone", "err", err)
		}
		s.peers = peers
	})
	s.serving.Add(1)
	go s.accept(l, name)
}

// Drain lets connections finish their calls and accepts no more.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for c := range s.conns {
		c.socket.Drain()
	}
}

// Cut closes all connections and cancels their calls, oneway calls excepted.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.cancel(dispatch.HostStopping)
		c.socket.Abort()
	}
}

// Done returns a channel that is closed after the last accept loop and connection have ended.
func (s *Server) Done() <-chan struct{} {
	done := make(chan struct{})
	go func() { // ends with the last connection, which the host's drain waits for
		s.serving.Wait()
		if s.peers != nil {
			_ = s.peers.Close()
		}
		close(done)
	}()
	return done
}

// Connections returns the number of open connections, of those before the end of their handshake, and of those that
// wait for a message.
func (s *Server) Connections() (open, unauthenticated, idle int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.waiting.Load() {
			idle++
		}
	}
	return len(s.conns), s.unauthenticated.Len(), idle
}

// IsDraining reports whether Drain was called.
func (s *Server) IsDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// accept takes connections until the listener is closed.
func (s *Server) accept(l *transport.Listener, name string) {
	defer s.serving.Done()
	var pause time.Duration
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Most likely EMFILE: make room and retry after a pause.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Error("accepting a connection", "err", err)
			s.makeRoom()
			time.Sleep(pause) //nolint:forbidigo // no event reports a free descriptor
			continue
		}
		pause = 0
		s.admit(nc, l, name)
	}
}

// admit starts serving a connection, unless the host has too many.
func (s *Server) admit(nc net.Conn, l *transport.Listener, name string) {
	s.usage.Accepted.Add(1)
	c := newConn(s, nc, l, name)
	if !s.add(c, nc) {
		s.usage.Rejected.Add(1)
		nc.Close()
		return
	}
	go c.serve() // ends with the connection, or when it is parked
}

// add adds a connection to those of the server. It reports false if the server has too many, or drains.
func (s *Server) add(c *conn, nc net.Conn) bool {
	c.parked.loop = s.loop()
	s.mu.Lock()
	var closed []*conn
	var whose object.Principal
	if len(s.conns) >= s.shares.Room() {
		closed, whose = s.makeRoomLocked(1)
	}
	if s.draining || len(s.conns) >= s.shares.Room() && closed == nil || !s.sources.Add(nc) {
		s.mu.Unlock()
		s.closeAll(closed, whose)
		return false
	}
	if s.unauthenticated.Len() >= MaxUnauthenticated {
		if oldest := s.unauthenticated.evict(); oldest != nil {
			closed = append(closed, oldest)
		}
	}
	s.conns[c] = struct{}{}
	s.unauthenticated.add(c)
	s.serving.Add(1)
	s.mu.Unlock()
	s.closeAll(closed, whose)
	return true
}

// loop returns the loop of the next connection, nil if there are no loops.
func (s *Server) loop() *Loop {
	if len(s.loops) == 0 {
		return nil
	}
	return s.loops[s.nextLoop.Add(1)%uint32(len(s.loops))]
}

// remove forgets a connection that has ended.
func (s *Server) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.sources.Remove(c.socket.Raw())
	s.unauthenticated.remove(c)
	s.mu.Unlock()
	s.serving.Done()
}

// CutRevoked closes the connections of peers whose identity was revoked, withdraws their waiting calls and cancels the
// running ones. A oneway call that runs continues.
func (s *Server) CutRevoked(now time.Time) {
	cut := map[uint64]bool{}
	var calls []context.CancelCauseFunc
	s.mu.Lock()
	for c := range s.conns {
		who, addr, ok := c.peer.Identified()
		if !ok || c.revoked.Load() {
			continue
		}
		if err := c.peer.Revoked(s.snapshot(), now); err != nil {
			s.log.Warn("connection closed", "principal", string(who), "peer", addr, "err", err)
			c.revoked.Store(true)
			c.socket.Cut()
			cut[c.session.ID()] = true
			calls = append(calls, c.cancel)
		}
	}
	s.mu.Unlock()
	if len(cut) > 0 {
		s.dispatch.Withdraw(s.snapshot(), cut) // before the cancellation: it also covers oneway calls
	}
	for _, cancel := range calls {
		cancel(dispatch.IdentityRevoked)
	}
}

// makeRoom closes some idle connections.
func (s *Server) makeRoom() {
	s.mu.Lock()
	closed, whose := s.makeRoomLocked(1)
	s.mu.Unlock()
	s.closeAll(closed, whose)
}
