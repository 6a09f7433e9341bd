// Package admin serves the admin socket of a host, and its metrics on a loopback listener.
//
// The admin socket is HTTP on a Unix socket in the state folder, for the host's own user and root. Its requests read
// and change the host through the [Host] interface; verbs.go has the list. The loopback listener is for every user of
// the machine: it serves metrics only, from a cache, since their cost grows with the number of objects.
//
// Lifecycle: Open, Serve, Close. Open is for a host that starts, OpenAfter for one that replaces another and waits for
// its sockets. These three are not safe for concurrent use.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
)

// Config configures a [Server]. All fields are required.
type Config struct {
	Host   Host
	Policy *policy.Policy // its state folder and its admin block
	Log    *slog.Logger
}

// Server has the HTTP servers of the admin socket and of metrics.
type Server struct {
	cfg     Config
	open    []endpoint
	metrics string // address of the loopback listener; "": no such listener
	serving sync.WaitGroup
}

// endpoint is an open listener with its server.
type endpoint struct {
	ln     net.Listener
	server *http.Server
}

// New returns a server without open listeners.
func New(cfg Config) *Server { return &Server{cfg: cfg} }

// MetricsAddress returns the address of the loopback listener as host:port, "" without one.
func (s *Server) MetricsAddress() string { return s.metrics }

// Bounds of each listener.
const (
	maxConns       = 32 // more wait to be accepted
	requestTimeout = 30 * time.Second
	idleTimeout    = time.Minute
	maxHeaderBytes = 16 << 10
)

// Open opens the admin socket and the policy's listener of metrics, if any.
func (s *Server) Open(ctx context.Context) error {
	path := Socket(s.cfg.Policy)
	own, err := transport.ListenOwner(ctx, path, func(uid uint32) {
		s.cfg.Log.Warn("admin socket: connection of another user refused", "uid", uid)
	})
	switch {
	case object.CodeOf(err) == object.CodeTooLarge:
		// Older versions started under such a path, and calls do not need the socket: only warn.
		s.cfg.Log.Warn(`no admin socket: its path is too long; name a shorter folder with state = "…"`, "path", path)
	case err != nil:
		return fmt.Errorf("admin socket: %w", err)
	default:
		s.add(own, verbs(s.cfg.Host))
	}
	at := s.cfg.Policy.Admin
	if at.Address == "" {
		return nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", at.Address)
	if err != nil {
		return fmt.Errorf("%s: listening for metrics on %s: %w", at.Where, at.Address, err)
	}
	s.metrics = ln.Addr().String()
	s.add(ln, publicVerbs(s.cfg.Host))
	s.cfg.Log.Info("metrics for every user of this machine", "address", "http://"+s.metrics+"/metrics")
	return nil
}

func (s *Server) add(ln net.Listener, verbs http.Handler) {
	server := &http.Server{
		Handler:        verbs,
		MaxHeaderBytes: maxHeaderBytes,
		ReadTimeout:    requestTimeout,
		WriteTimeout:   requestTimeout,
		IdleTimeout:    idleTimeout,
		ConnContext:    withOperator,
		ErrorLog:       slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn),
	}
	limited := &limitedListener{Listener: ln, room: make(chan struct{}, maxConns)}
	s.open = append(s.open, endpoint{limited, server})
}

// Retries of a new host that opens the admin socket of its predecessor.
const (
	retryTimeout  = 30 * time.Second
	retryInterval = 50 * time.Millisecond
)

// OpenAfter opens the listeners as Open does, but retries until the host that this one replaces closes them. It reports
// whether they are open.
func (s *Server) OpenAfter(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, retryTimeout)
	defer cancel()
	tick := time.NewTicker(retryInterval)
	defer tick.Stop()
	for err := s.Open(ctx); err != nil; err = s.Open(ctx) {
		s.Close()
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.cfg.Log.Error("no admin socket and no metrics: the old host has not closed them", "err", err)
			return false
		}
	}
	return true
}

// Serve serves each open listener in a goroutine. Close ends them.
func (s *Server) Serve() {
	for _, e := range s.open {
		s.serving.Go(func() {
			if err := e.server.Serve(e.ln); !errors.Is(err, http.ErrServerClosed) {
				s.cfg.Log.Error("serve admin requests: failed", "address", e.ln.Addr().String(), "err", err)
			}
		})
	}
}

// Close closes the listeners and their connections, and waits for the goroutines of Serve. The server can be opened
// again.
func (s *Server) Close() {
	for _, e := range s.open {
		_ = e.server.Close()
		_ = e.ln.Close() // if it was never served
	}
	s.serving.Wait()
	s.open = nil
}
