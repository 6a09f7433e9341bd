package plugins

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/launch"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// callbacks is the host's service for one plugin.
type callbacks struct {
	rpc.UnimplementedHostServer
	pr  *process
	out *launch.Output
}

// Log writes a line to the object's log.
func (c *callbacks) Log(_ context.Context, r *rpc.LogRequest) (*rpc.Nothing, error) {
	id := object.ID(r.GetObject())
	if !slices.Contains(c.pr.p.cfg.Objects, id) {
		id = c.pr.p.cfg.ID
	}
	var level slog.Level
	if level.UnmarshalText([]byte(r.GetLevel())) != nil {
		level = slog.LevelInfo
	}
	c.out.Line(level, id, r.GetText(), "log")
	return &rpc.Nothing{}, nil
}

// Proxy calls another object. The caller's identity and call chain come from the host's record of the running call, not
// from the plugin.
func (c *callbacks) Proxy(ctx context.Context, r *rpc.ProxyRequest) (*rpc.CallReply, error) {
	pr := c.pr
	call := &object.Call{
		ID:      object.ID(r.GetObject()),
		Method:  object.Method(r.GetMethod()),
		Payload: r.GetPayload(),
	}
	from := object.ID(r.GetFrom())
	pr.mu.Lock()
	under := pr.calls[r.GetCall()]
	if under != nil {
		from, call.Corr, call.Chain = under.call.ID, under.call.Corr, slices.Clone(under.call.Chain)
	} else if r.GetCall() != 0 {
		from = "" // the call has ended: the plugin must not act for it any more
	}
	pr.mu.Unlock()
	d := pr.objects[from]
	if d == nil {
		return failed(object.Errorf(object.CodeInvalid, "the surrounding call has ended")), nil
	}
	switch r.GetKind() {
	case rpc.Kind_KIND_INVOKE, rpc.Kind_KIND_GET, rpc.Kind_KIND_SET:
		call.Kind = object.CallKind(r.GetKind())
	default:
		return failed(object.Errorf(object.CodeInvalid, "objects call methods and attributes")), nil
	}
	var known bool
	call.Format, known = objectCallFormat(r.GetSerializer())
	if !known {
		return failed(object.Errorf(object.CodeInvalid, "unknown serializer")), nil
	}
	select {
	case pr.objectCalls <- struct{}{}:
		defer func() { <-pr.objectCalls }()
	default: // reject instead of queueing requests of a plugin
		return failed(object.Errorf(object.CodeExhausted, "limit exceeded: %d calls to other objects; not executed",
			maxObjectCalls)), nil
	}
	if pr.p.cfg.ObjectCall == nil {
		return failed(object.Errorf(object.CodeNotFound, "unknown object")), nil
	}
	if under != nil {
		if err := pr.gate(ctx, under, false); err != nil {
			return failed(err), nil
		}
	}
	reply, err := pr.p.cfg.ObjectCall(ctx, from, d.Instance == object.Single, call)
	switch {
	case err != nil:
		return pr.p.failed(err), nil
	case reply.Stream != 0:
		return failed(object.Errorf(object.CodeInvalid, "item streams cannot be opened by another object")), nil
	}
	return &rpc.CallReply{Payload: reply.Payload, Exception: reply.Exception}, nil
}

// Secret returns a secret of the object whose call is running, according to the host's record. Outside of a call no
// secret is returned.
func (c *callbacks) Secret(_ context.Context, r *rpc.SecretRequest) (*rpc.SecretReply, error) {
	c.pr.mu.Lock()
	under := c.pr.calls[r.GetCall()]
	c.pr.mu.Unlock()
	if under == nil || c.pr.p.cfg.Secret == nil {
		return &rpc.SecretReply{}, nil
	}
	value, ok := c.pr.p.cfg.Secret(under.call.ID, r.GetName())
	return &rpc.SecretReply{Granted: ok, Value: value}, nil
}

// failed returns the reply for an error, with the class of its reason.
func (p *Plugin) failed(err error) *rpc.CallReply {
	r := failed(err)
	var e *object.Error
	if p.cfg.ErrorClass != nil && errors.As(err, &e) {
		r.Failure.Class = p.cfg.ErrorClass(e)
	}
	return r
}

// failed returns the reply for an error without a reason.
func failed(err error) *rpc.CallReply {
	var e *object.Error
	if !errors.As(err, &e) {
		e = object.Errorf(object.CodeOf(err), "internal error")
	}
	return &rpc.CallReply{Failure: &rpc.Failure{Code: uint32(e.Code), Message: e.Msg, Class: e.Class}}
}
