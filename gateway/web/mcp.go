package web

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/gateway/mcp"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/object"
)

// mcpPath is the path of the Model Context Protocol on a listener with mcp = true.
const mcpPath = "mcp"

// maxMCPCalls bounds the calls of one request that run at a time: old versions of the protocol have batches.
const maxMCPCalls = 16

// mcp serves a request of the Model Context Protocol.
func (e *exchange) mcp() {
	if e.r.Method != http.MethodPost {
		e.methods(http.MethodPost)
		return
	}
	if e.r.Header.Get("Content-Encoding") != "" {
		e.refuseBody(errEncoded)
		return
	}
	body, err := e.read(mcp.MaxBody)
	if err != nil {
		e.refuseBody(err)
		return
	}
	e.caller.Peer.Gateway = object.GatewayMCP
	r := e.r.WithContext(e.ctx)
	r.Body = io.NopCloser(bytes.NewReader(body))
	e.s.mcp.Serve(e.w, r, &agent{e: e, slots: make(chan struct{}, maxMCPCalls)})
}

// agent is the caller of an MCP request. Its methods may run at the same time: a request can have several calls.
type agent struct {
	e     *exchange
	slots chan struct{} // has a token for each running call
	mu    sync.Mutex    // guards the exchange's account of bytes
}

// Objects returns the descriptions of the objects that the caller may call.
func (a *agent) Objects(ctx context.Context, most int) ([]*object.Description, error) {
	all := a.e.s.callable(ctx, a.e.caller, most, a.e.l.settings.HTTP.Exposes)
	for i := range all {
		all[i] = ofFamily(all[i])
	}
	return all, nil
}

// ofFamily returns a description with the id of the object. That of a keyed object has the id of all its keys.
func ofFamily(about *object.Description) *object.Description {
	family := *about
	family.ID = about.ID.Family()
	return &family
}

// Describe returns the description of an object, under the id of its listing. An object that is not visible leaves no
// record: the name of an attribute's tool can also be that of a method of another object.
func (a *agent) Describe(ctx context.Context, id object.ID) (*object.Description, error) {
	if !a.e.l.settings.HTTP.Exposes(id) {
		return nil, dispatch.ErrUnknown
	}
	snap := a.e.s.cfg.Snapshot()
	if _, keyed := snap.Routes.Listed(id.WithKey(object.AnyKey)); keyed {
		id = id.WithKey(object.AnyKey)
	}
	if _, ok := snap.Routes.Listed(id); !ok || !snap.Policy.Visible(a.e.caller, id) {
		return nil, dispatch.ErrUnknown
	}
	about, err := a.e.s.cfg.Dispatcher.Describe(ctx, &a.e.caller, id)
	if err != nil {
		return nil, err
	}
	return ofFamily(about), nil
}

// Unknown records that the caller named a tool that it does not have.
func (a *agent) Unknown(id object.ID) {
	a.e.s.cfg.Dispatcher.Hide(&a.e.caller, id, "no tool that this principal may use")
}

// Call runs a call.
func (a *agent) Call(_ context.Context, c mcp.Call) (mcp.Reply, error) {
	e := a.e
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-e.ctx.Done():
		return mcp.Reply{}, object.Errorf(object.CodeCanceled, "the client is gone; not executed")
	}
	r := &dispatch.Request{Recheck: e.recheck}
	r.Call.ID, r.Call.Kind, r.Call.Method, r.Call.Payload = c.ID, c.Kind, c.Member, c.Payload
	r.Call.Caller, r.Call.Corr, r.Call.Format = e.caller, e.corr, web.JSON
	if strings.HasPrefix(string(c.ID), object.HostPrefix) {
		return mcp.Reply{}, dispatch.ErrUnknown
	}
	d := e.s.cfg.Dispatcher
	r.Session = d.NewSession()
	r.Session.SetPrincipal(e.caller.Principal)
	reply, err := d.Do(e.ctx, r)
	if err == nil && r.Stream != "" {
		return a.stream(r), nil
	}
	r.Session.End()
	if err != nil {
		return mcp.Reply{}, err
	}
	if err := a.hold(len(reply.Payload)); err != nil {
		return mcp.Reply{}, err
	}
	return mcp.Reply{Value: reply.Payload, Exception: reply.Exception}, nil
}

// hold counts a reply, until the request ends.
func (a *agent) hold(n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.e.s.cfg.Shares.Discard(n)
	if err := a.e.held.Add(n); err != nil {
		return a.e.s.cfg.Shares.ResultLost(err)
	}
	return nil
}

// stream returns the reply of a call that opened a stream.
func (a *agent) stream(r *dispatch.Request) mcp.Reply {
	d := a.e.s.cfg.Dispatcher
	return mcp.Reply{
		Next: func(context.Context) (item []byte, ok bool, err error) {
			reply, err := d.Next(a.e.ctx, &r.Call, r.Stream)
			switch {
			case isEnd(err):
				return nil, false, nil
			case err != nil:
				return nil, false, err
			case reply.Exception:
				p := exceptionProblem(reply.Payload)
				return nil, false, object.Errorf(object.CodeRaised, "%s: %s", p.Class, p.Detail)
			}
			if err := a.hold(len(reply.Payload)); err != nil {
				return nil, false, err
			}
			return reply.Payload, true, nil
		},
		Close: func() {
			d.CloseStream(r.Stream, a.e.caller.Principal)
			r.Session.End()
		},
	}
}
