// Package web serves HTTP clients: calls, attributes and item streams of objects with JSON in both directions. Each
// request becomes a request of the dispatcher, see package dispatch. It calls no backend and decodes no arguments.
//
// A connection is opened by its own goroutine, as Pyro's are: channel, TLS handshake and identity. Package net/http
// then reads its requests: HTTP/1.1, and HTTP/2 in TLS. Each request is identified and decided on separately.
//
// Source: doc/http.md.
package web

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/gateway/mcp"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/internal/peerlog"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
)

// Bounds of connections and requests.
const (
	MaxHeaderBytes     = 16 << 10 // of a request; net/http adds 4 KiB
	MaxConcurrent      = 100      // requests of one HTTP/2 connection at a time
	maxUnauthenticated = 2000     // connections before their first accepted request
)

// Timeouts are the time limits of connections and requests. A zero field has its default.
type Timeouts struct {
	Open      time.Duration // TLS handshake of a connection, default 5 seconds
	Header    time.Duration // header of a request, default 10 seconds
	Body      time.Duration // body of a request, default 2 minutes
	Stall     time.Duration // between two parts of a body, default 20 seconds
	Write     time.Duration // until a client has read a part of an answer, default 20 seconds
	Idle      time.Duration // of a connection without a request, default 2 minutes
	Heartbeat time.Duration // without an item of a stream until its answer has a line without content, default 15 s
	Session   time.Duration // without a request until a session ends, default 10 minutes
	// Retire is the time in which connections that a retired server keeps may make one more request, default 2
	// seconds. Without it, a request that is on its way to an idle connection would be lost.
	Retire time.Duration
}

// withDefaults returns the limits without zero fields.
func (t Timeouts) withDefaults() Timeouts {
	return Timeouts{
		Open:      cmp.Or(t.Open, 5*time.Second),
		Header:    cmp.Or(t.Header, 10*time.Second),
		Body:      cmp.Or(t.Body, 2*time.Minute),
		Stall:     cmp.Or(t.Stall, 20*time.Second),
		Write:     cmp.Or(t.Write, 20*time.Second),
		Idle:      cmp.Or(t.Idle, 2*time.Minute),
		Heartbeat: cmp.Or(t.Heartbeat, 15*time.Second),
		Session:   cmp.Or(t.Session, 10*time.Minute),
		Retire:    cmp.Or(t.Retire, 2*time.Second),
	}
}

// Authenticator identifies the caller of a request by its credentials, the header Authorization.
type Authenticator interface {
	// Authenticate returns the peer that the credentials of a request prove. The result has Auth and the fields that
	// belong to it; the gateway adds the address and the channel. The error is CodeUnauthenticated for credentials that
	// prove nothing, with a text for the caller. It is called only for a request with the header.
	Authenticate(ctx context.Context, r *http.Request) (object.Peer, error)
}

// Config has the parts of a host with which a server works. All but the Authenticator and the time limits are required.
type Config struct {
	Dispatcher    *dispatch.Dispatcher
	Snapshot      func() *snapshot.Snapshot // the current one
	Shares        *admit.Shares
	Usage         *usage.Registry
	Authenticator Authenticator // nil: a request with credentials is refused
	// Secret returns a secret of a tenant by its name. nil: requests of webhooks are refused.
	Secret   func(t object.Tenant, name string) (value string, ok bool)
	Version  string // of the host, for clients of the Model Context Protocol
	Log      *slog.Logger
	Life     context.Context // ends when the host drains
	Timeouts Timeouts
}

// Server serves the connections of HTTP clients. It is safe for concurrent use.
type Server struct {
	cfg     Config
	peerLog *peerlog.Log
	mcp     *mcp.Server
	base    context.Context // of all requests; ends with Cut
	cut     context.CancelCauseFunc

	sessions sessions
	retired  atomic.Bool    // another process accepts connections
	serving  sync.WaitGroup // accept loops and connections

	mu              sync.Mutex // guards the fields below
	listeners       []*listener
	conns           map[net.Conn]*conn
	unauthenticated int // connections without an accepted request
	sources         admit.Sources
	draining        bool
}

// NewServer returns a server without listeners.
func NewServer(cfg Config) *Server {
	cfg.Timeouts = cfg.Timeouts.withDefaults()
	s := &Server{
		cfg:      cfg,
		sessions: sessions{idle: cfg.Timeouts.Session},
		peerLog:  peerlog.New(cfg.Log),
		mcp:      mcp.NewServer(cfg.Version, cfg.Log),
		conns:    map[net.Conn]*conn{},
		sources:  admit.Sources{},
	}
	s.base, s.cut = context.WithCancelCause(context.Background())
	return s
}

// Serve accepts connections of a listener until it is closed. settings are those of the policy.
func (s *Server) Serve(l *transport.Listener, settings *policy.Listener) {
	ln := newListener(s, l, settings)
	s.mu.Lock()
	s.listeners = append(s.listeners, ln)
	s.mu.Unlock()
	s.serving.Add(1)
	go func() { // ends when the listener is closed
		defer s.serving.Done()
		ln.accept()
	}()
	s.serving.Add(1)
	go func() { // ends with Drain
		defer s.serving.Done()
		_ = ln.http.Serve(ln) // the error is always that of a closed server
	}()
}

// Retire lets clients connect again, to another process: each answer has "Connection: close" or sends GOAWAY. After
// a short time, at most drain, the server drains. It does not wait.
func (s *Server) Retire(drain time.Duration) {
	s.retired.Store(true)
	time.AfterFunc(min(drain, s.cfg.Timeouts.Retire), s.Drain)
}

// Drain lets connections finish their requests and accepts no more. Clients receive "Connection: close" or GOAWAY.
func (s *Server) Drain() {
	s.mu.Lock()
	again := s.draining
	s.draining = true
	all := s.listeners
	s.mu.Unlock()
	if again {
		return
	}
	for _, l := range all {
		s.serving.Add(1)
		go func() { // ends with the last connection, or with Cut
			defer s.serving.Done()
			_ = l.http.Shutdown(s.base)
		}()
	}
}

// Cut closes all connections and cancels their calls, oneway calls excepted.
func (s *Server) Cut() {
	s.cut(dispatch.HostStopping)
	s.mu.Lock()
	all := s.listeners
	s.mu.Unlock()
	for _, l := range all {
		_ = l.http.Close()
	}
}

// Done returns a channel that is closed after the last accept loop and connection have ended.
func (s *Server) Done() <-chan struct{} {
	done := make(chan struct{})
	go func() { // ends with the last connection, which the host's drain waits for
		s.serving.Wait()
		s.sessions.endAll()
		close(done)
	}()
	return done
}

// Connections returns the number of open connections, and of those without an accepted request.
func (s *Server) Connections() (open, unauthenticated int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns), s.unauthenticated
}

// CutRevoked cancels the requests of peers whose identity was revoked, and closes their connections. Other requests are
// identified when they arrive.
func (s *Server) CutRevoked(now time.Time) {
	s.mu.Lock()
	all := make([]*conn, 0, len(s.conns))
	for _, c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	snap := s.cfg.Snapshot()
	for _, c := range all {
		c.cutRevoked(snap, now)
	}
}
