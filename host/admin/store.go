package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hearthhost/hearth/host/stores"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/transport/peer"
)

// operatorKey is the key of the operator in the context of a connection.
type operatorKey struct{}

// withOperator adds the user at the other end of a connection of the admin socket to its context.
func withOperator(ctx context.Context, c net.Conn) context.Context {
	limited, ok := c.(*limitedConn)
	if !ok {
		return ctx
	}
	unix, ok := limited.Conn.(*net.UnixConn)
	if !ok {
		return ctx // the listener of metrics
	}
	uid, ok := peer.UnixUser(unix)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, operatorKey{}, stores.Operator{UID: uid})
}

// errNoOperator is the error of a request from an unknown user.
var errNoOperator = object.Errorf(object.CodeDenied, "the system does not report the user of this connection")

// storeVerbs adds the requests about the durable state.
func storeVerbs(m *http.ServeMux, s *stores.Stores) {
	// reply adds a request whose response is JSON.
	reply := func(pattern string, do func(op stores.Operator, q url.Values, r *http.Request) (any, error)) {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			op, ok := r.Context().Value(operatorKey{}).(stores.Operator)
			if !ok {
				answer(w, nil, errNoOperator)
				return
			}
			v, err := do(op, r.URL.Query(), r)
			answer(w, v, err)
		})
	}
	reply("GET /v1/store", func(op stores.Operator, _ url.Values, r *http.Request) (any, error) {
		return s.Tenants(r.Context(), op)
	})
	reply("GET /v1/store/objects", func(op stores.Operator, q url.Values, r *http.Request) (any, error) {
		return s.Objects(r.Context(), op, object.Tenant(q.Get("tenant")), object.ID(q.Get("after")))
	})
	reply("GET /v1/store/keys", func(op stores.Operator, q url.Values, r *http.Request) (any, error) {
		return s.Keys(r.Context(), op, q.Get("object"), q.Get("prefix"), q.Get("after"))
	})
	reply("GET /v1/store/value", func(op stores.Operator, q url.Values, r *http.Request) (any, error) {
		return s.Get(r.Context(), op, q.Get("object"), q.Get("key"))
	})
	reply("POST /v1/store/set", func(op stores.Operator, q url.Values, r *http.Request) (any, error) {
		w, err := writeOf(q, r.Body)
		if err != nil {
			return nil, err
		}
		version, err := s.Set(r.Context(), op, q.Get("object"), q.Get("key"), w)
		return map[string]int64{"version": version}, err
	})
	reply("POST /v1/store/remove", func(op stores.Operator, q url.Values, r *http.Request) (any, error) {
		var keys []string
		if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&keys); err != nil {
			return nil, object.Errorf(object.CodeInvalid, "the body is not a list of keys")
		}
		return map[string]int{"removed": len(keys)}, s.Remove(r.Context(), op, q.Get("object"), keys)
	})
	longStoreVerbs(m, s)
}

// maxBody bounds the body of a request with a value or keys. The limits of the store are below it.
const maxBody = 64 << 20

// writeOf reads a write from the query and the body of a request.
func writeOf(q url.Values, body io.Reader) (w *stores.Write, err error) {
	w = &stores.Write{IfVersion: store.AnyVersion}
	if text := q.Get("if_version"); text != "" {
		if w.IfVersion, err = strconv.ParseInt(text, 10, 64); err != nil || w.IfVersion < 0 {
			return nil, object.Errorf(object.CodeInvalid, "if_version %q is not a version", text)
		}
	}
	if text := q.Get("ttl"); text != "" {
		if w.TTL, err = time.ParseDuration(text); err != nil {
			return nil, object.Errorf(object.CodeInvalid, "ttl %q is not a duration such as 90s or 24h", text)
		}
		if w.TTL == 0 {
			return nil, object.Errorf(object.CodeInvalid, "ttl is 0; a key without ttl does not expire")
		}
	}
	w.Value, err = io.ReadAll(io.LimitReader(body, maxBody))
	return w, err
}

// longStoreVerbs adds the requests that may take longer than [requestTimeout]. While they move data, each part of it
// has that time.
func longStoreVerbs(m *http.ServeMux, s *stores.Stores) {
	long := func(pattern string, do func(op stores.Operator, t object.Tenant, w http.ResponseWriter, r *http.Request)) {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			op, ok := r.Context().Value(operatorKey{}).(stores.Operator)
			if !ok {
				answer(w, nil, errNoOperator)
				return
			}
			// The end of the client still ends the request.
			c := http.NewResponseController(w)
			if err := errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{})); err != nil {
				answer(w, nil, err)
				return
			}
			do(op, object.Tenant(r.URL.Query().Get("tenant")), w, r)
		})
	}
	long("GET /v1/store/check", func(op stores.Operator, t object.Tenant, w http.ResponseWriter, r *http.Request) {
		damage, err := s.Check(r.Context(), op, t)
		if damage == nil {
			damage = []string{}
		}
		answer(w, map[string][]string{"damage": damage}, err)
	})
	long("GET /v1/store/export", func(op stores.Operator, t object.Tenant, w http.ResponseWriter, r *http.Request) {
		out := &slowWriter{w: w, c: http.NewResponseController(w)}
		if err := s.Export(r.Context(), op, t, out); err != nil {
			if !out.begun {
				answer(w, nil, err)
				return
			}
			panic(http.ErrAbortHandler) // the client sees that the response is incomplete
		}
	})
	long("POST /v1/store/import", func(op stores.Operator, t object.Tenant, w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		n, err := s.Import(r.Context(), op, t, &slowReader{r.Body, c})
		answer(w, map[string]int64{"imported": n}, err)
	})
	long("GET /v1/store/backup", func(op stores.Operator, t object.Tenant, w http.ResponseWriter, r *http.Request) {
		f, err := s.Backup(r.Context(), op, t)
		if err != nil {
			answer(w, nil, err)
			return
		}
		defer f.Close() //nolint:errcheck // it was only read
		info, err := f.Stat()
		if err != nil {
			answer(w, nil, err)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.sqlite3")
		w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		out := &slowWriter{w: w, c: http.NewResponseController(w)}
		_, _ = io.Copy(out, f) // the client compares the length
	})
}

// slowWriter gives each write of a response the time of a request.
type slowWriter struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	begun bool
}

func (s *slowWriter) Write(b []byte) (int, error) {
	s.begun = true
	if err := s.c.SetWriteDeadline(time.Now().Add(requestTimeout)); err != nil {
		return 0, err
	}
	return s.w.Write(b)
}

// slowReader gives each read of a request's body the time of a request. After the last one the time is not bounded.
type slowReader struct {
	r io.Reader
	c *http.ResponseController
}

func (s *slowReader) Read(b []byte) (int, error) {
	if err := s.c.SetReadDeadline(time.Now().Add(requestTimeout)); err != nil {
		return 0, err
	}
	n, err := s.r.Read(b)
	if err != nil {
		_ = s.c.SetReadDeadline(time.Time{})
	}
	return n, err
}
