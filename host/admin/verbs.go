package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/history"
	"github.com/hearthhost/hearth/host/observe"
	"github.com/hearthhost/hearth/host/stores"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/service/store/dump"
)

// Socket returns the path of the admin socket of a host under a policy. It is HTTP on a Unix socket, for the host's own
// user and root only.
func Socket(p *policy.Policy) string { return filepath.Join(p.State, "admin.sock") }

// Host is the running host that requests read and change. Its methods are safe for concurrent use.
type Host interface {
	Status() *observe.Status
	Metrics() []byte
	Usage(tenant object.Tenant) (*usage.Usage, error)
	Reload(ctx context.Context) error
	Refusals() []fault.Refusal
	Warnings() []fault.Refusal
	History(ctx context.Context, id object.ID) ([]history.VersionInfo, error)
	Rollback(ctx context.Context, id object.ID, version string) (name string, err error)
	Stores() *stores.Stores
}

// verbs returns the handler of the admin socket. GET requests only read, POST requests
// change the host. Responses are JSON, except the metrics.
func verbs(h Host) *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.Status(), nil) })
	m.HandleFunc("GET /v1/usage", func(w http.ResponseWriter, r *http.Request) {
		u, err := h.Usage(object.Tenant(r.URL.Query().Get("tenant")))
		answer(w, u, err)
	})
	m.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		err := h.Reload(r.Context())
		answer(w, slices.Concat(h.Refusals(), h.Warnings()), err)
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
	m.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { writeMetrics(w, h.Metrics()) })
	storeVerbs(m, h.Stores())
	return m
}

// publicVerbs returns the handler of the loopback listener, for every user of this machine.
func publicVerbs(h Host) http.Handler {
	m := http.NewServeMux()
	var last publicMetrics
	m.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		writeMetrics(w, last.current(time.Now(), h.Metrics))
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

func writeMetrics(w http.ResponseWriter, text []byte) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(text)
}

// failure is the body of a request that failed.
type failure struct {
	Error string `json:"error"`
	Line  int    `json:"line,omitempty"` // of the request's body, from 1
}

// answer writes a result, or a [failure].
func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		status := http.StatusInternalServerError
		failure := failure{Error: object.SafeText(err)}
		if line, ok := errors.AsType[*dump.LineError](err); ok {
			failure.Line = line.Line
		}
		switch object.CodeOf(err) {
		case object.CodeNotFound:
			status = http.StatusNotFound
		case object.CodeInvalid:
			status = http.StatusBadRequest
		case object.CodeUnavailable:
			status = http.StatusServiceUnavailable
		case object.CodeTooLarge:
			status = http.StatusRequestEntityTooLarge
		case object.CodeExhausted:
			status = http.StatusInsufficientStorage
		default:
		}
		w.WriteHeader(status)
		v = failure
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // an error means that the client has gone
}
