package web

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/object"
)

// errQuery refuses a request with a query.
var errQuery = invalid("no path takes a query: arguments are in the body, and credentials in the header Authorization")

// route serves a request of an identified caller.
func (e *exchange) route(path []string) {
	if e.l.settings.HTTP.PyroPaths && len(path) > 0 && path[0] == pyroPath {
		e.pyro(path)
		return
	}
	if e.r.URL.RawQuery != "" || e.r.URL.ForceQuery {
		e.problem(http.StatusBadRequest, errQuery)
		return
	}
	if len(path) == 0 {
		e.page()
		return
	}
	if len(path) == 2 && path[0] == "v1" && path[1] == "session" {
		e.serveSession()
		return
	}
	if e.l.settings.HTTP.MCP && len(path) == 1 && path[0] == mcpPath {
		e.mcp()
		return
	}
	if len(path) == 1 && path[0] == "openapi.json" {
		e.openAPI()
		return
	}
	if len(path) < 2 || path[0] != "v1" || path[1] != "objects" {
		e.problem(http.StatusNotFound, object.Errorf(object.CodeNotFound, "no such path"))
		return
	}
	switch path = path[2:]; len(path) {
	case 0:
		e.list()
	case 1:
		e.describe(object.ID(path[0]))
	case 2:
		e.member(object.ID(path[0]), object.Method(path[1]))
	default:
		e.problem(http.StatusNotFound, object.Errorf(object.CodeNotFound, "no such path"))
	}
}

// member calls a method, or reads or writes an attribute.
func (e *exchange) member(id object.ID, name object.Method) {
	r := dispatch.Request{Recheck: e.recheck, Correlated: e.correlated}
	c := &r.Call
	c.ID, c.Method = id, name
	switch e.r.Method {
	case http.MethodPost:
		c.Kind = object.Invoke
	case http.MethodGet:
		c.Kind = object.Get
	case http.MethodPut:
		c.Kind = object.Set
	default:
		e.methods(http.MethodGet, http.MethodPost, http.MethodPut)
		return
	}
	c.Caller, c.Corr, c.Format = e.caller, e.corr, web.JSON
	// The body of a denied call is not read: the caller has no permission to make the host store it.
	r.Truncated = !e.s.cfg.Snapshot().Permits(c)
	// No rule is about the host's own objects. Their arguments are bounded, because the host decodes them.
	to, _ := e.s.cfg.Snapshot().Routes.Lookup(id)
	if b := to.Builtin; b != nil && (b.Visible == nil || b.Visible(&e.caller)) {
		r.Truncated = e.r.ContentLength < 0 || e.r.ContentLength > int64(b.MaxBytes)
	}
	if !r.Truncated {
		body, err := e.body(c.Kind)
		if err != nil {
			e.refuseBody(err)
			return
		}
		c.Payload = body
		if err := e.once(c); err != nil {
			e.fail(err)
			return
		}
	}
	var end func()
	var err error
	if r.Session, end, err = e.session(); err != nil {
		e.fail(err)
		return
	}
	if c.Kind == object.Invoke && !r.Truncated && e.oneway(c) {
		if c.Once != nil { // the client would not learn that the call is refused
			end()
			e.fail(errOnewayOnce)
			return
		}
		if e.background(&r, end) {
			e.w.WriteHeader(http.StatusAccepted)
		}
		return
	}
	defer end()
	reply, err := e.s.cfg.Dispatcher.Do(e.ctx, &r)
	e.answer(&r, reply, err)
}

// errOnewayOnce refuses a oneway call with an idempotency key.
var errOnewayOnce = invalid("a oneway call cannot have an idempotency key; not executed")

// answer writes the result of a call.
func (e *exchange) answer(r *dispatch.Request, reply object.Reply, err error) {
	switch {
	case errors.Is(err, dispatch.ErrRevoked), err != nil && e.ctx.Err() != nil && e.r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nothing reads the answer
	case err != nil:
		e.fail(err)
		return
	case r.Stream != "":
		e.stream(r)
		return
	}
	e.s.cfg.Shares.Discard(len(reply.Payload))
	if err := e.held.Add(len(reply.Payload)); err != nil {
		e.fail(e.s.cfg.Shares.ResultLost(err))
		return
	}
	switch {
	case e.pyroAnswers && reply.Exception:
		e.document(http.StatusInternalServerError, "application/json; charset=utf-8", reply.Payload)
	case e.pyroAnswers:
		e.pyroValue(reply.Payload)
	case reply.Exception:
		e.raised(reply.Payload)
	case string(reply.Payload) == "null":
		e.w.WriteHeader(http.StatusNoContent)
	default:
		e.value(reply.Payload)
	}
}

// value answers with a JSON document.
func (e *exchange) value(doc []byte) { e.document(http.StatusOK, "application/json", doc) }

// document answers with a document of a media type.
func (e *exchange) document(status int, kind string, doc []byte) {
	h := e.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(doc)))
	_ = e.control.SetWriteDeadline(time.Now().Add(e.s.cfg.Timeouts.Write))
	e.w.WriteHeader(status)
	if e.r.Method != http.MethodHead {
		_, _ = e.w.Write(doc)
	}
}

// oneway reports whether a call is made without waiting for its end: the client prefers it, or the method is oneway.
func (e *exchange) oneway(c *object.Call) bool {
	for _, v := range e.r.Header.Values("Prefer") {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), "respond-async") {
				return true
			}
		}
	}
	to, ok := e.s.cfg.Snapshot().Routes.Lookup(c.ID)
	if !ok || to.Described == nil {
		return false
	}
	about := to.Described()
	if about == nil {
		var err error
		if about, err = e.s.cfg.Dispatcher.Describe(e.ctx, &e.caller, c.ID); err != nil {
			return false // the call has the same error
		}
	}
	m := findMember(about, c.Method)
	return m != nil && m.Oneway
}

// background starts a oneway call, after which it calls end. It returns true when the call is in the object's queue. If
// that fails, it answers and returns false.
func (e *exchange) background(r *dispatch.Request, end func()) bool {
	r.Oneway = true
	r.Payload = slices.Clone(r.Payload)
	size := len(r.Payload) + admit.OnewayBytes
	account := e.held.Account
	if err := account.Acquire(size); err != nil {
		end()
		e.fail(e.s.cfg.Shares.Exhausted(err))
		return false
	}
	select {
	case e.conn.oneways <- struct{}{}:
	case <-e.ctx.Done():
		account.Release(size)
		end()
		panic(http.ErrAbortHandler)
	}
	s, conn, path := e.s, e.conn, e.r.URL.Path
	failed := make(chan error, 1)
	s.serving.Add(1)
	s.cfg.Dispatcher.Start(context.Background(), r, func(_ object.Reply, err error) {
		if err != nil {
			s.peerLog.Log(r.Caller.Principal, slog.LevelInfo, "oneway call failed", "path", path,
				"principal", string(r.Caller.Principal), "call", object.CorrelationText(r.Corr), "err", err)
		}
		account.Release(size)
		<-conn.oneways
		end()
		s.serving.Done()
		failed <- err
	})
	if r.Enqueued == nil { // it was not admitted
		e.answer(r, object.Reply{}, <-failed)
		return false
	}
	return true
}

// contentType reports whether the body of a request is declared as JSON. A request without a body needs no declaration.
func (e *exchange) contentType() bool {
	text, err := one(e.r.Header, "Content-Type")
	if err != nil {
		return false
	}
	if text == "" {
		return e.r.ContentLength == 0
	}
	kind, params, err := mime.ParseMediaType(text)
	if err != nil || kind != "application/json" {
		return false
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}
