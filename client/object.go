package client

import (
	"context"
	"errors"
	"slices"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// Object is an object of the server. It holds a name only: the first call shows whether the object exists. Safe for
// concurrent use.
//
// Methods return a *RemoteError for an exception of the server, and a *CallError for other failures.
type Object struct {
	client *Client
	source connSource
	id     object.ID
}

func newObject(c *Client, source connSource, id object.ID) *Object {
	return &Object{client: c, source: source, id: id}
}

// Object returns the object with an id. It makes no request.
func (c *Client) Object(id object.ID) *Object { return newObject(c, c, id) }

// Ping checks that the server replies.
func (c *Client) Ping(ctx context.Context) error {
	if c.web != nil {
		_, err := c.Object(object.Daemon).Call(ctx, "ping")
		return err
	}
	one, err := c.acquire(ctx)
	if err != nil {
		return err
	}
	keep, err := one.exchange(ctx, wire.Ping, 0, pingSerializer, [3][]byte{pingPayload})
	c.release(one, keep)
	return err
}

// pingSerializer is the serializer number that Python peers send in a ping. A ping has no serializer.
const pingSerializer = 42

var pingPayload = []byte("ping")

// Call calls a method with positional arguments and returns its result.
func (o *Object) Call(ctx context.Context, method string, args ...any) (any, error) {
	return o.call(ctx, request{method: method, args: args})
}

// CallKw calls a method with positional and keyword arguments; either may be nil.
func (o *Object) CallKw(ctx context.Context, method string, args []any, kw map[string]any) (any, error) {
	return o.call(ctx, request{method: method, args: args, kw: kw})
}

// Get reads an attribute.
func (o *Object) Get(ctx context.Context, attr string) (any, error) {
	if o.client.web != nil {
		return o.client.web.get(ctx, o, attr)
	}
	return o.call(ctx, request{method: "__getattr__", args: []any{attr}, nullKw: true})
}

// Set writes an attribute.
func (o *Object) Set(ctx context.Context, attr string, v any) error {
	if o.client.web != nil {
		return o.client.web.set(ctx, o, attr, v)
	}
	_, err := o.call(ctx, request{method: "__setattr__", args: []any{attr, v}, nullKw: true})
	return err
}

// Oneway calls a method without a reply. nil means that the operating system has accepted the request.
func (o *Object) Oneway(ctx context.Context, method string, args ...any) error {
	if o.client.web != nil {
		_, err := o.client.web.invoke(ctx, o, request{method: method, args: args, flags: wire.Oneway})
		return err
	}
	one, err := o.source.acquire(ctx)
	if err != nil {
		return err
	}
	keep, err := o.invoke(ctx, one, request{method: method, args: args, flags: wire.Oneway})
	o.source.release(one, keep)
	return err
}

// call runs a call with a reply.
func (o *Object) call(ctx context.Context, r request) (any, error) {
	if o.client.web != nil {
		return o.client.web.invoke(ctx, o, r)
	}
	one, err := o.source.acquire(ctx)
	if err != nil {
		return nil, err
	}
	keep, err := o.invoke(ctx, one, r)
	if err != nil {
		o.source.release(one, keep)
		return nil, err
	}
	stream, err := one.stream()
	if stream != "" {
		o.source.release(one, keep && one.closeStream(ctx, stream))
		return nil, &CallError{Executed: Yes, Err: ErrStream}
	}
	if err != nil {
		o.source.release(one, false)
		return nil, err
	}
	v, err := one.value()
	o.source.release(one, keep && !closesConnection(err))
	return v, err
}

// request is the content of an INVOKE.
type request struct {
	method string
	args   []any
	kw     map[string]any
	nullKw bool // without keyword arguments send None, not an empty dict
	flags  wire.Flags
	once   string // idempotency key; "": none
}

// CallOnce is CallKw for a call that the host executes at most once: it may be sent again after an error. key is the
// idempotency key, 1 to 128 visible ASCII characters. A call with the same key, object, method and arguments returns
// the reply of the first one for 24 hours. With other arguments it is an error. The object must have one instance.
func (o *Object) CallOnce(
	ctx context.Context, key, method string, args []any, kw map[string]any,
) (any, error) {
	if key == "" {
		return nil, &CallError{Executed: No, Err: errors.New("the idempotency key is empty")}
	}
	return o.call(ctx, request{method: method, args: args, kw: kw, once: key})
}

// onceID is the id of the annotation with the idempotency key of a call.
const onceID = "ONCE"

// invoke sends one call and, unless it is oneway, reads the reply.
func (o *Object) invoke(ctx context.Context, one *conn, r request) (keep bool, err error) {
	payload, err := one.encode(o.id, r)
	if err != nil {
		return true, &CallError{Executed: No, Err: err}
	}
	number := pyro.SerializerNumber(o.client.cfg.Protocol, o.client.ser)
	one.once = r.once
	defer func() { one.once = "" }()
	return one.exchange(ctx, wire.Invoke, r.flags, number, payload)
}

// value decodes the reply: its value, or the exception as an error.
func (c *conn) value() (any, error) {
	body, err := c.body()
	if err != nil {
		return nil, &CallError{Executed: Yes, Err: err}
	}
	defer c.builder.Reset()
	if len(body) > keepBytes { // an idle connection does not keep such a buffer
		c.in.Detach()
		c.inflated = nil
		c.builder.Own(body)
	}
	err = c.client.ser.Decode(body, codec.Limits{}, &c.builder)
	v := c.builder.Value()
	if err != nil {
		return nil, &CallError{Executed: Yes, Err: err}
	}
	if c.reply.Flags&wire.Exception == 0 {
		return v, nil
	}
	if e := remoteError(v); e != nil {
		return nil, e
	}
	return nil, badReply(Yes, "the server raised a value that is not an exception")
}

// closesConnection reports whether the server closes the connection after an error.
func closesConnection(err error) bool {
	if err == nil {
		return false
	}
	var e *RemoteError // allocated
	return errors.As(err, &e) && e.closes()
}

// Metadata lists the exposed members of an object. Each list is sorted.
type Metadata struct {
	Methods []string // all methods, with the oneway ones
	Oneway  []string
	Attrs   []string
}

// Metadata requests the exposed members of the object.
func (o *Object) Metadata(ctx context.Context) (Metadata, error) {
	if o.client.web != nil {
		return o.client.web.metadata(ctx, o)
	}
	v, err := newObject(o.client, o.source, object.Daemon).Call(ctx, "get_metadata", string(o.id))
	if err != nil {
		return Metadata{}, err
	}
	dict, ok := v.(map[string]any)
	if !ok {
		return Metadata{}, badReply(Yes, "metadata is not a dict")
	}
	return Metadata{Methods: names(dict["methods"]), Oneway: names(dict["oneway"]), Attrs: names(dict["attrs"])}, nil
}

func names(v any) []string {
	list, _ := elements(v)
	var all []string
	for _, one := range list {
		if text, ok := one.(string); ok {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return all
}
