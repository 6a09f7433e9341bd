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

// AdminSocket returns the path of the admin socket of a host under a policy: HTTP on a
// Unix socket that answers the host's own user and root, and nobody else.
func AdminSocket(p *policy.Policy) string { return filepath.Join(p.State, "admin.sock") }

// verbs is what the admin socket answers. What only looks is a GET, what changes something
// a POST; all but the metrics is JSON.
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

// publicVerbs is what the loopback listener answers, to whoever asks.
func (h *Host) metricsHandler() http.Handler {
	m := http.NewServeMux()
	var last publicMetrics
	m.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		writeMetrics(w, last.current(time.Now(), h.metrics))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A page in a browser on this machine can be sent here under its own site's name.
		if !thisMachine(r.Host) {
			http.Error(w, "ask for this machine by its address", http.StatusForbidden)
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
		v = map[string]string{"error": safeText(err)}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // who asked has gone
}

// doors are the listeners beside those for calls, and their servers.
type adminServers struct {
	open    []adminServer
	metrics string // the address of the loopback listener; "": there is none
	serving sync.WaitGroup
}

type adminServer struct {
	ln     net.Listener
	server *http.Server
}

// Bounds on the doors.
const (
	maxAdminConns  = 32 // of each
	adminTimeout   = 30 * time.Second
	adminIdle      = time.Minute
	maxAdminHeader = 16 << 10
)

// openDoors opens the admin socket and, if the policy wants it, the listener of metrics.
func (h *Host) openAdmin(ctx context.Context) error {
	path := AdminSocket(h.cfg.Policy)
	own, err := transport.ListenOwner(ctx, path, func(uid uint32) {
		h.log.Warn("admin socket: connection of another user refused", "uid", uid)
	})
	switch {
	case object.CodeOf(err) == object.CodeTooLarge:
		// Hosts under such a path have always run, and nobody's calls need the socket.
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
	s := &http.Server{Handler: verbs, MaxHeaderBytes: maxAdminHeader, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout,
		IdleTimeout: adminIdle, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelWarn)}
	h.admin.open = append(h.admin.open, adminServer{&limitedListener{Listener: ln, room: make(chan struct{}, maxAdminConns)}, s})
}

// How long, and how often, a host tries to open the doors of the one that it succeeds.
const (
	adminRetryTimeout  = 30 * time.Second
	adminRetryInterval = 50 * time.Millisecond
)

// takeDoors answers at the doors, which the host before, if there is one, is about to
// leave.
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
				h.log.Error("no admin socket, and no metrics: the host before has not left them", "err", err)
				return
			}
		}
	}
	h.serveAdmin()
}

// serveDoors starts to answer at each door; closeDoors ends that and waits.
func (h *Host) serveAdmin() {
	for _, d := range h.admin.open {
		h.admin.serving.Go(func() {
			if err := d.server.Serve(d.ln); !errors.Is(err, http.ErrServerClosed) {
				h.log.Error("admin: no longer answering", "address", d.ln.Addr().String(), "err", err)
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

// bounded is a listener that has so many connections at a time: more wait to be accepted,
// and the host's descriptors are for calls.
type limitedListener struct {
	net.Listener
	room chan struct{}
}

// Accept waits for room first.
func (b *limitedListener) Accept() (net.Conn, error) {
	b.room <- struct{}{}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.room
		return nil, err
	}
	return &limitedConn{Conn: c, b: b}, nil
}

// boundedConn gives its room back when it is closed.
type limitedConn struct {
	net.Conn
	b    *limitedListener
	once sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() { <-c.b.room })
	return c.Conn.Close()
}
