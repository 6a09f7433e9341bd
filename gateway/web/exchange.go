package web

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/gateway/web/page"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
)

// exchange is one request and its answer. It belongs to the goroutine of the request.
type exchange struct {
	s       *Server
	l       *listener
	conn    *conn
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController

	ctx    context.Context // of calls; its cause is a [dispatch.CancelCause]
	cancel context.CancelCauseFunc

	caller object.Caller
	proof  object.Peer // as it was identified
	share  *admit.Share
	held   admit.Holding // bytes of body and reply

	corr       [16]byte // correlation id
	correlated bool     // the client has sent it

	pyroAnswers bool // answers have the form of Pyro's gateway
}

// handle serves one request.
func (l *listener) handle(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok || c == nil { // the connection was cut off meanwhile
		panic(http.ErrAbortHandler)
	}
	e := &exchange{s: l.s, l: l, conn: c, w: w, r: r, control: http.NewResponseController(w)}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if l.s.retired.Load() {
		h.Set("Connection", "close")
	}
	if r.ContentLength != 0 { // net/http reads a part of a body that is refused
		_ = e.control.SetReadDeadline(time.Now().Add(l.s.cfg.Timeouts.Stall))
	}
	path, handled := e.checkRequest()
	if handled {
		return
	}
	if e.serveMetadata(path) {
		return
	}
	e.ctx, e.cancel = context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer e.cancel(nil)
	stop := context.AfterFunc(r.Context(), e.gone)
	defer stop()
	serve := func() { e.route(path) }
	if name, ok := e.webhookName(path); ok {
		event := e.verify(name)
		if event == nil {
			return
		}
		serve = func() { e.deliver(event) }
	} else if !e.authenticate() {
		return
	}
	share, err := c.enter(e.caller.Principal, l.s.cfg.Snapshot().Policy, e)
	if err != nil {
		e.refuseConnection(err)
		return
	}
	e.share = share
	e.held.Transfer(share.Bytes)
	defer func() {
		e.held.Release()
		c.exit(e.caller.Principal, e)
	}()
	serve()
}

// gone cancels the calls of a request whose connection has ended.
func (e *exchange) gone() {
	if e.s.base.Err() != nil {
		e.cancel(dispatch.HostStopping)
		return
	}
	e.cancel(dispatch.ClientGone)
}

// authenticate sets the caller. It reports false if it has answered the request.
func (e *exchange) authenticate() bool {
	if err := e.conn.revoked(time.Now()); err != nil {
		e.problem(http.StatusUnauthorized, &object.Error{Code: object.CodeUnauthenticated, Msg: err.Error()})
		return false
	}
	peer := e.conn.peer
	if values := e.r.Header.Values("Authorization"); len(values) > 0 {
		proven, err := e.credentials(len(values))
		if err != nil {
			e.unauthenticated(err)
			return false
		}
		proven.Channel, proven.Addr = peer.Channel, peer.Addr
		proven.Gateway, proven.Endpoint = peer.Gateway, peer.Endpoint
		peer = proven
	}
	snap := e.s.cfg.Snapshot()
	e.proof = peer
	e.caller.Peer, e.caller.Principal = peer, snap.Credentials.Principal(peer)
	if e.caller.Principal == object.Anonymous && !snap.Policy.Known(object.Anonymous) {
		e.s.cfg.Dispatcher.Deny(&audit.Record{
			Event:  "connect",
			Caller: &e.caller,
			Reason: "denied: no permit names unidentified peers",
			Call:   e.corr,
		})
		e.challenge(nil)
		if isPage(e.r) && accepts(e.r.Header, "text/html") { // it has a field for a bearer key
			e.html(http.StatusUnauthorized, &page.Page{})
			return false
		}
		e.problem(http.StatusUnauthorized, object.Errorf(object.CodeUnauthenticated,
			"the host has no principal for this caller: show it the credentials of a principal"))
		return false
	}
	return true
}

// credentials returns the peer that the header Authorization proves.
func (e *exchange) credentials(headers int) (object.Peer, error) {
	switch {
	case headers > 1:
		return object.Peer{}, object.Errorf(object.CodeUnauthenticated, "a request must have one header Authorization")
	case e.s.cfg.Authenticator == nil, !e.accepts(object.AuthBearer) && !e.accepts(object.AuthOIDC):
		return object.Peer{}, errNoCredentials
	}
	peer, err := e.s.cfg.Authenticator.Authenticate(e.r.Context(), e.r)
	if err == nil && !e.accepts(peer.Auth) {
		return object.Peer{}, errNoCredentials
	}
	return peer, err
}

// errNoCredentials refuses credentials that the listener does not accept.
var errNoCredentials = object.Errorf(object.CodeUnauthenticated,
	"the listener does not accept these credentials in the header Authorization")

// accepts reports whether the listener accepts an authentication method.
func (e *exchange) accepts(method string) bool { return slices.Contains(e.l.settings.Identify, method) }

// unauthenticated answers a request whose credentials prove nothing.
func (e *exchange) unauthenticated(err error) {
	e.caller.Peer, e.caller.Principal = e.conn.peer, object.Anonymous
	e.caller.Peer.Auth, e.caller.Peer.Cert = "", nil
	e.s.cfg.Dispatcher.Deny(&audit.Record{
		Event:  "connect",
		Caller: &e.caller,
		Reason: "denied: identity not proven: " + object.SafeText(err),
		Call:   e.corr,
	})
	switch object.CodeOf(err) { //nolint:exhaustive // other codes are of credentials that prove nothing
	case object.CodeUnavailable: // no fault of the credentials
		e.fail(err)
		return
	case object.CodeInvalid:
		e.challenge(err)
		e.problem(http.StatusBadRequest, err)
		return
	}
	e.challenge(err)
	e.problem(http.StatusUnauthorized, &object.Error{Code: object.CodeUnauthenticated, Msg: object.SafeText(err)})
}

// challenge names the accepted credentials, as 401 requires. err is the error of credentials, nil for none.
func (e *exchange) challenge(err error) {
	value := `Bearer realm="hearth"`
	if refused, ok := errors.AsType[interface {
		error
		Challenge() string
	}](err); ok {
		value = refused.Challenge()
	}
	e.w.Header().Set("WWW-Authenticate", value+e.resourceParameter())
}

// refuseConnection answers a request of a principal that has too many connections, and closes the connection.
func (e *exchange) refuseConnection(err error) {
	var many *admit.TooManyConns
	if errors.As(err, &many) {
		e.s.cfg.Dispatcher.Deny(&audit.Record{
			Event:     "connect",
			Caller:    &e.caller,
			Reason:    "denied: too many connections",
			Exceeding: many.Limit,
			Call:      e.corr,
		})
	}
	e.w.Header().Set("Connection", "close")
	e.fail(object.Errorf(object.CodeExhausted, "%s; not executed", errorText(err)))
}

// errorText returns the text of an error of a connection, which the client may read.
func errorText(err error) string {
	if e, ok := errors.AsType[*object.Error](err); ok {
		return e.Msg
	}
	return err.Error()
}

// recheck reports whether the caller is still the principal that it was.
func (e *exchange) recheck(changed bool) bool {
	return !changed || !e.changed(e.s.cfg.Snapshot(), time.Now())
}

// changed reports whether the proof of the caller's identity is no longer valid.
func (e *exchange) changed(snap *snapshot.Snapshot, now time.Time) bool {
	return e.conn.revoked(now) != nil || snap.Credentials.Principal(e.proof) != e.caller.Principal
}

// correlate sets the correlation id of the request: that of the client, or a new one.
func (e *exchange) correlate() error {
	id, sent, err := correlationID(e.r.Header)
	if err != nil {
		return err
	}
	if id == ([16]byte{}) {
		_, _ = rand.Read(id[:]) // never fails
	}
	e.corr, e.correlated = id, sent
	return nil
}

// log logs a line about the caller.
func (e *exchange) log(level slog.Level, msg string, attrs ...any) {
	e.s.peerLog.Log(e.caller.Principal, level, msg, attrs...)
}
