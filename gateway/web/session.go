package web

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/object"
)

// Bounds of the sessions that clients keep.
const (
	MaxSessions  = 64     // of one principal
	maxSessions  = 10_000 // of all principals
	sessionBytes = 128    // longest value of the header Hearth-Session
)

// sessions holds the sessions that clients keep beyond a request. Objects of mode "session" have an instance for each.
// A token cannot be guessed, and is valid for its principal only. It is safe for concurrent use.
type sessions struct {
	idle time.Duration // time without a request after which a session ends

	mu     sync.Mutex // guards the fields below
	open   map[string]*session
	counts map[object.Principal]int
}

type session struct {
	owner    object.Principal
	session  *dispatch.Session
	requests int         // running
	ended    bool        // it ends with its last request
	timer    *time.Timer // ends it when it is idle
}

var (
	errNoSession = &object.Error{Code: object.CodeNotFound, Reason: object.ReasonValue,
		Msg: "the session of the header Hearth-Session has ended or does not exist; not executed"}
	errSessions = object.Errorf(object.CodeExhausted,
		"limit exceeded: %d sessions of a principal: end some with DELETE /v1/session; not executed", MaxSessions)
)

// begin makes a session and returns its token.
func (t *sessions) begin(d *dispatch.Dispatcher, owner object.Principal) (token string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[owner] >= MaxSessions || len(t.open) >= maxSessions {
		return "", errSessions
	}
	if t.open == nil {
		t.open, t.counts = map[string]*session{}, map[object.Principal]int{}
	}
	token = rand.Text()
	s := &session{owner: owner, session: d.NewSession()}
	s.session.SetPrincipal(owner)
	s.timer = time.AfterFunc(t.idle, func() { t.expire(token, s) })
	t.open[token] = s
	t.counts[owner]++
	return token, nil
}

// enter begins a request in a session. The caller calls exit after it.
func (t *sessions) enter(token string, owner object.Principal) (*session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.open[token]
	if s == nil || s.owner != owner {
		return nil, errNoSession
	}
	s.requests++
	s.timer.Stop()
	return s, nil
}

// exit ends a request.
func (t *sessions) exit(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.requests--; s.requests > 0 {
		return
	}
	if s.ended {
		s.session.End()
		return
	}
	s.timer.Reset(t.idle)
}

// end ends a session. It reports false for an unknown token.
func (t *sessions) end(token string, owner object.Principal) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.open[token]
	if s == nil || s.owner != owner {
		return false
	}
	t.removeLocked(token, s)
	return true
}

// expire ends a session that is idle.
func (t *sessions) expire(token string, s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[token] == s && s.requests == 0 {
		t.removeLocked(token, s)
	}
}

func (t *sessions) removeLocked(token string, s *session) {
	delete(t.open, token)
	if t.counts[s.owner]--; t.counts[s.owner] == 0 {
		delete(t.counts, s.owner)
	}
	s.timer.Stop()
	if s.ended = true; s.requests == 0 {
		s.session.End()
	}
}

// endAll ends all sessions.
func (t *sessions) endAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for token, s := range t.open {
		t.removeLocked(token, s)
	}
}

// serveSession makes or ends a session: POST and DELETE /v1/session.
func (e *exchange) serveSession() {
	switch e.r.Method {
	case http.MethodPost:
		token, err := e.s.sessions.begin(e.s.cfg.Dispatcher, e.caller.Principal)
		if err != nil {
			e.fail(err)
			return
		}
		e.w.Header().Set("Hearth-Session", token)
		e.w.WriteHeader(http.StatusNoContent)
	case http.MethodDelete:
		token, err := e.sessionToken()
		if err == nil && !e.s.sessions.end(token, e.caller.Principal) {
			err = errNoSession
		}
		if err != nil {
			e.fail(err)
			return
		}
		e.w.WriteHeader(http.StatusNoContent)
	default:
		e.methods(http.MethodPost, http.MethodDelete)
	}
}

// sessionToken returns the token of the request, "" for none.
func (e *exchange) sessionToken() (string, error) {
	token, err := one(e.r.Header, "Hearth-Session")
	if err == nil && len(token) > sessionBytes {
		err = errNoSession
	}
	return token, err
}

// session returns the session of a call: the one of the header Hearth-Session, or a new one that ends with the call.
// The caller calls end after the call.
func (e *exchange) session() (s *dispatch.Session, end func(), err error) {
	token, err := e.sessionToken()
	if err != nil {
		return nil, nil, err
	}
	if token != "" {
		kept, err := e.s.sessions.enter(token, e.caller.Principal)
		if err != nil {
			return nil, nil, err
		}
		return kept.session, func() { e.s.sessions.exit(kept) }, nil
	}
	s = e.s.cfg.Dispatcher.NewSession()
	s.SetPrincipal(e.caller.Principal)
	return s, s.End, nil
}
