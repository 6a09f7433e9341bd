package web

import (
	"crypto/sha256"
	"log/slog"
	"net/http"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/gateway/webhook"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// webhookTimeout bounds the time for the body of a request whose sender is not identified yet.
const webhookTimeout = 10 * time.Second

// errWebhook is the answer to a request that proves nothing, and to one for a webhook that does not exist.
var errWebhook = object.Errorf(object.CodeUnauthenticated,
	"the signature of the request is not valid, or there is no such webhook; not executed")

// webhookName returns the name of the webhook that a path leads to: /v1/webhooks/<name>. A policy without webhooks has
// no such paths.
func (e *exchange) webhookName(path []string) (name string, ok bool) {
	if len(path) != 3 || path[0] != "v1" || path[1] != "webhooks" {
		return "", false
	}
	return path[2], len(e.s.cfg.Snapshot().Policy.Webhooks) > 0
}

// event is a verified request of a webhook.
type event struct {
	hook *policy.Webhook
	id   string
	body []byte
}

// verify reads the body of a request and checks its signature, which identifies the caller. It returns nil if it has
// answered the request. Requests for a webhook that does not exist take the same steps, and get the same answers as
// those with a wrong signature.
func (e *exchange) verify(name string) *event {
	e.caller.Peer, e.caller.Principal = e.conn.peer, object.Anonymous
	e.caller.Peer.Auth, e.caller.Peer.Cert, e.caller.Peer.Gateway = "", nil, object.GatewayWebhook
	defer e.held.Release()
	switch {
	case e.r.Method != http.MethodPost:
		e.methods(http.MethodPost)
		return nil
	case e.r.URL.RawQuery != "" || e.r.URL.ForceQuery:
		e.problem(http.StatusBadRequest, errQuery)
		return nil
	case e.r.Header.Get("Content-Encoding") != "":
		e.refuseBody(errEncoded)
		return nil
	}
	snap := e.s.cfg.Snapshot()
	most := 0
	for i := range snap.Policy.Webhooks { // one bound for all: it does not depend on the name
		most = max(most, snap.Policy.Webhooks[i].MaxBody)
	}
	body, err := e.unproven(most)
	if err != nil {
		e.refuseBody(err)
		return nil
	}
	hook, reason := snap.Policy.Webhook(name), "no webhook has the name of the path"
	if hook != nil {
		id, err := webhook.Verify(hook, e.r.Header, body, e.secrets(hook), time.Now())
		if err == nil {
			return e.proven(&event{hook, id, body})
		}
		reason = "webhook " + name + ": " + err.Error()
	}
	e.s.cfg.Dispatcher.Deny(&audit.Record{
		Event:  "connect",
		Caller: &e.caller,
		Reason: "denied: " + reason,
		Call:   e.corr,
	})
	e.w.Header().Set("WWW-Authenticate", `Webhook realm="hearth"`)
	e.w.Header().Set("Connection", "close")
	e.problem(http.StatusUnauthorized, errWebhook)
	return nil
}

// unproven returns the body of a request whose sender is not identified. Its bytes are counted among those of
// unauthenticated connections.
func (e *exchange) unproven(most int) ([]byte, error) {
	if e.r.ContentLength > int64(most) {
		return nil, bodyTooLarge(most)
	}
	e.held.Account = e.s.cfg.Shares.Unauthenticated
	by := time.Now().Add(min(webhookTimeout, e.s.cfg.Timeouts.Body))
	body, err := e.readGrowing(&timedBody{e: e, by: by}, most)
	if err == nil { // see read
		_ = e.control.SetReadDeadline(time.Time{})
	}
	return body, err
}

// secrets returns the secrets that prove requests of a webhook.
func (e *exchange) secrets(hook *policy.Webhook) (out [][]byte) {
	if e.s.cfg.Secret == nil {
		return nil
	}
	for _, name := range hook.Secrets {
		if value, ok := e.s.cfg.Secret(hook.Object.Tenant(), name); ok {
			out = append(out, []byte(value))
		}
	}
	return out
}

// proven makes the webhook of an event the caller. It returns nil if it has answered the request.
func (e *exchange) proven(ev *event) *event {
	if len(ev.body) > ev.hook.MaxBody {
		e.refuseBody(bodyTooLarge(ev.hook.MaxBody))
		return nil
	}
	peer := e.conn.peer
	e.proof = object.Peer{
		Auth:     object.AuthWebhook,
		Key:      ev.hook.Name,
		Gateway:  object.GatewayWebhook,
		Channel:  peer.Channel,
		Addr:     peer.Addr,
		Endpoint: peer.Endpoint,
	}
	e.caller.Peer, e.caller.Principal = e.proof, object.Webhook(ev.hook.Name)
	return ev
}

// deliver calls the method of an event's webhook, and answers when its writes are stored. An event with an id that
// was delivered gets the stored reply. A call that fails stores nothing: the service may send the event again.
func (e *exchange) deliver(ev *event) {
	r := dispatch.Request{Recheck: e.recheck, Correlated: e.correlated}
	c := &r.Call
	c.Kind, c.ID, c.Method = object.Invoke, ev.hook.Object, ev.hook.Method
	c.Caller, c.Corr, c.Format = e.caller, e.corr, web.JSON
	// The principal is part of the identity of a stored reply, so that events of two webhooks are different.
	c.Once = &object.Once{Key: ev.id, Sum: sha256.Sum256(ev.body), Retry: true, Keep: ev.hook.Replay}
	if r.Truncated = !e.s.cfg.Snapshot().Permits(c); !r.Truncated {
		if err := e.reserve(len(ev.body) + webhook.ArgumentBytes(len(ev.body))); err != nil {
			e.fail(err)
			return
		}
		payload, err := webhook.Arguments(ev.hook.Name, ev.id, e.r.Header, ev.body)
		if err != nil {
			e.fail(err)
			return
		}
		c.Payload = payload
	}
	d := e.s.cfg.Dispatcher
	r.Session = d.NewSession()
	r.Session.SetPrincipal(e.caller.Principal)
	defer r.Session.End()
	reply, err := d.Do(e.ctx, &r)
	if err != nil || reply.Exception {
		e.logFailure(ev, reply, err)
	}
	e.answer(&r, reply, err)
}

// logFailure logs an event whose call failed. The service sees the same, and the tenant's operator does not.
func (e *exchange) logFailure(ev *event, reply object.Reply, err error) {
	text := object.SafeText(err)
	if err == nil {
		text = exceptionProblem(reply.Payload).Class
	}
	e.log(slog.LevelWarn, "webhook: the call failed", "webhook", ev.hook.Name, "event", ev.id,
		"object", string(ev.hook.Object), "method", string(ev.hook.Method), "err", text,
		"call", object.CorrelationText(e.corr))
}
