// Package builtin has the objects that the host itself serves, as backends: Pyro.Daemon, Pyro.NameServer and
// Pyro.Enroll. They support single calls and batches, and have no attributes.
package builtin

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/signature"
	"github.com/hearthhost/hearth/wire"
)

// Config configures the built-in objects. All fields are required.
type Config struct {
	Dispatcher *dispatch.Dispatcher
	Snapshot   func() *snapshot.Snapshot // returns the current snapshot
	Refusals   func() *fault.Refusals    // returns the files that are not served
	Listener   func(name string) Listener
	Version    string // version of the host
	Log        *slog.Logger
}

// Listener is the interface of a client's listener that enrolment needs.
type Listener interface {
	TakesTLS() bool
	ServerName() string // returns the name in its certificate, "" for none
}

// Objects are the built-in objects of a host.
type Objects struct {
	cfg       Config
	enrolling sync.Mutex // serializes enrolments
}

// Routes returns the routes of the built-in objects.
func Routes(cfg Config) map[object.ID]route.Route {
	all := &Objects{cfg: cfg}
	serve := func(id object.ID, doc string, methods map[object.Method]method, b route.Builtin) route.Route {
		b.MaxBytes = MaxArgumentBytes
		return route.Route{Backend: &backend{all: all, id: id, doc: doc, methods: methods}, Builtin: &b}
	}
	return map[object.ID]route.Route{
		// An item of a stream counts as a call of its object.
		object.Daemon: serve(object.Daemon, "The host: its objects, their metadata and item streams.", daemonMethods,
			route.Builtin{Uncounted: func(m object.Method) bool { return m == nextItem }}),
		object.NameServer: serve(object.NameServer, "The names of the objects that the caller may call.",
			nameServerMethods, route.Builtin{}),
		object.Enroll: serve(object.Enroll, "Exchanges a token for a key or a certificate.", enrollMethods,
			route.Builtin{Visible: enrolling}),
	}
}

// MaxArgumentBytes bounds the arguments of a call, which the host decodes. The longest is a request for a certificate,
// of 8 KiB.
const MaxArgumentBytes = wire.HeadBytes

var argumentLimits = codec.Limits{Depth: 8, Elements: 256, Digits: 100}

// method is a method of a built-in object. Its parameters have names, since Python clients pass them by position or by
// name.
type method struct {
	params []string
	run    func(c *invocation, args []any) (any, error)
}

// invocation is a running call.
type invocation struct {
	*Objects
	ctx  context.Context
	snap *snapshot.Snapshot
	call *object.Call
	pyro *pyro.Format // of the call; for HTTP one with the same classes
	web  bool         // the call is one of an HTTP client
}

// format reads the arguments of a call and writes its result.
type format interface {
	DecodeCall(kind object.CallKind, payload []byte, lim codec.Limits, sink object.Sink) error
	NewEncoder(buf []byte) codec.Encoder
}

func (c *invocation) format() format {
	if c.web {
		return web.Lookup(web.JSON)
	}
	return c.pyro
}

// encode returns the document of a result, in the memory for the reply.
func (c *invocation) encode(v any) ([]byte, error) {
	e := c.format().NewEncoder(c.call.Buffer[:0])
	if err := codec.Write(e, v); err != nil {
		return nil, err
	}
	return e.Document()
}

// encoded is a result that is already in the call's format.
type encoded object.Reply

// backend serves one built-in object. It implements [object.Backend].
type backend struct {
	all     *Objects
	id      object.ID
	doc     string
	methods map[object.Method]method
}

// Describe implements [object.Backend].
func (b *backend) Describe(context.Context, object.ID) (*object.Description, error) {
	d := &object.Description{ID: b.id, Doc: b.doc, Instance: object.Single}
	for _, name := range slices.Sorted(maps.Keys(b.methods)) {
		f := new(signature.Function)
		for _, p := range b.methods[name].params {
			f.Params = append(f.Params, signature.Param{Name: p, Type: &signature.Type{}, Optional: true})
		}
		d.Members = append(d.Members, object.Member{Name: name, Method: true, Function: f, Signature: f.String()})
	}
	return d, nil
}

// Invoke implements [object.Backend].
func (b *backend) Invoke(ctx context.Context, call *object.Call) (object.Reply, error) {
	if call.Enqueued != nil {
		call.Enqueued() // calls of built-in objects have no order
	}
	c := &invocation{Objects: b.all, ctx: ctx, snap: b.all.cfg.Snapshot(), call: call, pyro: pyro.Lookup(call.Format)}
	if call.Format == web.JSON {
		c.pyro, c.web = pyro.FormatOf(wire.Pyro5, codec.ByID(codec.JSON)), true
	}
	if c.pyro == nil {
		return object.Reply{}, object.Errorf(object.CodeInvalid,
			"%s does not take calls in the format %q; not executed", call.ID, call.Format)
	}
	if call.Kind == object.Batch {
		return b.invokeBatch(c)
	}
	m, ok := b.methods[call.Method]
	if !ok || call.Kind != object.Invoke || c.web && streamMethods[call.Method] {
		return object.Reply{}, noSuchMethod(call.ID)
	}
	params, kwargs, err := c.arguments(argumentLimits)
	if err != nil {
		return object.Reply{}, err
	}
	args, err := bind(call.Method, m.params, params, kwargs)
	if err != nil {
		return object.Reply{}, err
	}
	result, err := m.run(c, args)
	if err != nil {
		return object.Reply{}, err
	}
	if r, ok := result.(encoded); ok {
		return object.Reply(r), nil
	}
	doc, err := c.encode(result)
	return object.Reply{Payload: doc}, err
}

// Next implements [object.Backend]: no method opens a stream.
func (b *backend) Next(context.Context, *object.Call, uint64) (object.Reply, bool, error) {
	return object.Reply{}, false, object.ErrStreamGone
}

// CloseStream implements [object.Backend].
func (b *backend) CloseStream(uint64) {}

// EndConn implements [object.Backend].
func (b *backend) EndConn(uint64) {}

// arguments decodes the call's arguments. Arguments above the limits are recorded as a denial.
func (c *invocation) arguments(limits codec.Limits) ([]any, map[string]any, error) {
	var b codec.Builder
	err := c.format().DecodeCall(c.call.Kind, c.call.Payload, limits, &b)
	var params []any
	var kwargs map[string]any
	if err == nil {
		params, kwargs, err = pyro.Arguments(b.Values())
	}
	if object.CodeOf(err) == object.CodeTooLarge {
		const reason = "denied: more arguments than one of the host's own objects takes"
		c.cfg.Dispatcher.Note(c.call, c.call.Method, reason, "")
	}
	return params, kwargs, err
}

// noSuchMethod returns the error for a method that a built-in object does not have.
func noSuchMethod(id object.ID) error {
	return &object.Error{
		Code:   object.CodeNotFound,
		Reason: object.ReasonMember,
		Msg:    fmt.Sprintf("%s has no such method", id),
	}
}
