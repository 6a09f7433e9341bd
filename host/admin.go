package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
)

// AdminSocket returns the path of the admin socket of a host under a policy. It is HTTP on a
// Unix socket, for the host's own user and root only.
func AdminSocket(p *policy.Policy) string { return filepath.Join(p.State, "admin.sock") }

// adminHandler returns the handler of the admin socket. GET requests only read, POST requests
// change the host. Responses are JSON, except the metrics.
func (h *Host) adminHandler() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.Status(), nil) })
	m.HandleFunc("GET /v1/usage", func(w http.ResponseWriter, r *http.Request) {
		u, err := h.Usage(object.Tenant(r.URL.Query().Get("tenant")))
		answer(w, u, err)
	})
	m.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		err := h.Reload(r.Context())
		answer(w, h.Refusals(), err)
	})
	m.HandleFunc("GET /v1/history", func(w http.ResponseWriter, r *http.Request) {
		all, err := h.History(r.Context(), object.ID(r.URL.Query().Get("object")))
		answer(w, all, err)
	})
	m.HandleFunc("POST /v1/rollback", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		version, err := h.Rollback(r.Context(), object.ID(q.Get("object")), q.Get("to"))
		answer(w, map[string]string{"version": version}, err)
	})
	m.HandleFunc("GET /metrics", h.showMetrics)
	return m
}

// metricsHandler returns the handler of the loopback listener, for every user of this machine.
func (h *Host) metricsHandler() http.Handler {
	m := http.NewServeMux()
	var last publicMetrics
	m.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		writeMetrics(w, last.current(time.Now(), h.metrics))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// DNS rebinding: a web page in a browser on this machine may send requests here under its site's name.
		if !thisMachine(r.Host) {
			http.Error(w, "the Host header must be a loopback address or localhost", http.StatusForbidden)
			return
		}
		m.ServeHTTP(w, r)
	})
}

// thisMachine reports whether the Host of a request is a loopback address or localhost.
func thisMachine(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.IsLoopback()
}

// answer writes a result, or an error as {"error": "…"}.
func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		status := http.StatusInternalServerError
		switch object.CodeOf(err) {
		case object.CodeNotFound:
			status = http.StatusNotFound
		case object.CodeInvalid:
			status = http.StatusBadRequest
		case object.CodeUnavailable:
			status = http.StatusServiceUnavailable
		default:
		}
		w.WriteHeader(status)
		v = map[string]string{"error": object.SafeText(err)}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // an error means that the client has gone
}

// adminServers are the HTTP servers of the admin socket and of metrics.
type adminServers struct {
	open    []adminServer
	metrics string // address of the loopback listener; "": no such listener
	serving sync.WaitGroup
}

type adminServer struct {
	ln     net.Listener
	server *http.Server
}

// Bounds of each admin server.
const (
	maxAdminConns  = 32 // more wait to be accepted
	adminTimeout   = 30 * time.Second
	adminIdle      = time.Minute
	maxAdminHeader = 16 << 10
)

// openAdmin opens the admin socket and the policy's listener of metrics, if any.
func (h *Host) openAdmin(ctx context.Context) error {
	path := AdminSocket(h.cfg.Policy)
	own, err := transport.ListenOwner(ctx, path, func(uid uint32) {
		h.log.Warn("admin socket: connection of another user refused", "uid", uid)
	})
	switch {
	case object.CodeOf(err) == object.CodeTooLarge:
		// Older versions started under such a path, and calls do not need the socket: only warn.
		h.log.Warn(`no admin socket: its path is too long; name a shorter folder with state = "…"`, "path", path)
	case err != nil:
		return fmt.Errorf("admin socket: %w", err)
	default:
		h.addAdminServer(own, h.adminHandler())
	}
	at := h.cfg.Policy.Admin
	if at.Address == "" {
		return nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", at.Address)
	if err != nil {
		return fmt.Errorf("%s: listening for metrics on %s: %w", at.Where, at.Address, err)
	}
	h.admin.metrics = ln.Addr().String()
	h.addAdminServer(ln, h.metricsHandler())
	h.log.Info("metrics for every user of this machine", "address", "http://"+h.admin.metrics+"/metrics")
	return nil
}

func (h *Host) addAdminServer(ln net.Listener, verbs http.Handler) {
	s := &http.Server{
		Handler:        verbs,
		MaxHeaderBytes: maxAdminHeader,
		ReadTimeout:    adminTimeout,
		WriteTimeout:   adminTimeout,
		IdleTimeout:    adminIdle,
		ErrorLog:       slog.NewLogLogger(h.log.Handler(), slog.LevelWarn),
	}
	limited := &limitedListener{Listener: ln, room: make(chan struct{}, maxAdminConns)}
	h.admin.open = append(h.admin.open, adminServer{limited, s})
}

// Retries of a new host that opens the admin socket of its predecessor.
const (
	adminRetryTimeout  = 30 * time.Second
	adminRetryInterval = 50 * time.Millisecond
)

// startAdmin opens and serves the admin servers. During an upgrade it retries until the
// predecessor closes them.
func (h *Host) startAdmin(ctx context.Context) {
	if h.cfg.Inherited.ParentPID != 0 {
		ctx, cancel := context.WithTimeout(ctx, adminRetryTimeout)
		defer cancel()
		tick := time.NewTicker(adminRetryInterval)
		defer tick.Stop()
		for err := h.openAdmin(ctx); err != nil; err = h.openAdmin(ctx) {
			h.closeAdmin()
			select {
			case <-tick.C:
			case <-ctx.Done():
				h.log.Error("no admin socket and no metrics: the old host has not closed them", "err", err)
				return
			}
		}
	}
	h.serveAdmin()
}

// serveAdmin serves each admin server in a goroutine. closeAdmin ends them and waits.
func (h *Host) serveAdmin() {
	for _, d := range h.admin.open {
		h.admin.serving.Go(func() {
			if err := d.server.Serve(d.ln); !errors.Is(err, http.ErrServerClosed) {
				h.log.Error("serve admin requests: failed", "address", d.ln.Addr().String(), "err", err)
			}
		})
	}
}

func (h *Host) closeAdmin() {
	for _, d := range h.admin.open {
		_ = d.server.Close()
		_ = d.ln.Close() // if it was never served
	}
	h.admin.serving.Wait()
	h.admin.open = nil
}

// limitedListener limits the open connections of a listener: the host's descriptors are for
// calls. More connections wait to be accepted.
type limitedListener struct {
	net.Listener
	room chan struct{}
}

// Accept waits until fewer connections are open than the limit.
func (b *limitedListener) Accept() (net.Conn, error) {
	b.room <- struct{}{}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.room
		return nil, err
	}
	return &limitedConn{Conn: c, b: b}, nil
}

// limitedConn releases its slot when it is closed.
type limitedConn struct {
	net.Conn
	b    *limitedListener
	once sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() { <-c.b.room })
	return c.Conn.Close()
}
