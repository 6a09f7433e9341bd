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

// Object is one object of the server to call. It is a name only: whether the object
// exists turns out with the first call. Safe for concurrent use.
//
// Methods fail with a *RemoteError if the server answered with an exception, and with a
// *CallError otherwise.
type Object struct {
	client *Client
	via    runner
	id     object.ID
}

func newObject(c *Client, via runner, id object.ID) *Object {
	return &Object{client: c, via: via, id: id}
}

// Object names an object to call.
func (c *Client) Object(id object.ID) *Object { return newObject(c, c, id) }

// Ping asks the server for a sign of life.
func (c *Client) Ping(ctx context.Context) error {
	one, err := c.acquire(ctx)
	if err != nil {
		return err
	}
	keep, err := one.exchange(ctx, wire.Ping, 0, pingSerializer, [3][]byte{pingPayload})
	c.release(one, keep)
	return err
}

// A ping has no serializer; Python peers say 42.
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
	return o.call(ctx, request{method: "__getattr__", args: []any{attr}, nullKw: true})
}

// Set writes an attribute.
func (o *Object) Set(ctx context.Context, attr string, v any) error {
	_, err := o.call(ctx, request{method: "__setattr__", args: []any{attr, v}, nullKw: true})
	return err
}

// Oneway calls a method without waiting: nil means that the request was handed to the
// operating system.
func (o *Object) Oneway(ctx context.Context, method string, args ...any) error {
	one, err := o.via.acquire(ctx)
	if err != nil {
		return err
	}
	keep, err := o.invoke(ctx, one, request{method: method, args: args, flags: wire.Oneway})
	o.via.release(one, keep)
	return err
}

// call runs an ordinary call.
func (o *Object) call(ctx context.Context, r request) (any, error) {
	one, err := o.via.acquire(ctx)
	if err != nil {
		return nil, err
	}
	keep, err := o.invoke(ctx, one, r)
	if err != nil {
		o.via.release(one, keep)
		return nil, err
	}
	stream, err := one.stream()
	if stream != "" {
		o.via.release(one, keep && one.closeStream(ctx, stream))
		return nil, &CallError{Executed: Yes, Err: ErrStream}
	}
	if err != nil {
		o.via.release(one, false)
		return nil, err
	}
	v, err := one.value()
	o.via.release(one, keep && !closing(err))
	return v, err
}

// request is what an INVOKE asks of an object.
type request struct {
	method string
	args   []any
	kw     map[string]any
	nullKw bool // no keyword arguments are None, not an empty dict
	flags  wire.Flags
}

// invoke sends one call and, unless it is oneway, reads the answer.
func (o *Object) invoke(ctx context.Context, one *conn, r request) (keep bool, err error) {
	payload, err := one.encode(o.id, r)
	if err != nil {
		return true, &CallError{Executed: No, Err: err}
	}
	return one.exchange(ctx, wire.Invoke, r.flags, pyro.SerializerNumber(o.client.cfg.Protocol, o.client.ser), payload)
}

// value decodes the reply: its value, or the exception as an error.
func (c *conn) value() (any, error) {
	body, err := c.body()
	if err != nil {
		return nil, &CallError{Executed: Yes, Err: err}
	}
	decode := codec.Unmarshal
	if len(body) > keepBytes { // neither the reader nor we would keep its memory
		c.in.Detach()
		c.inflated = nil
		decode = codec.UnmarshalNoCopy
	}
	v, err := decode(c.client.ser, body, codec.Limits{})
	if err != nil {
		return nil, &CallError{Executed: Yes, Err: err}
	}
	if c.reply.Flags&wire.Exception == 0 {
		return v, nil
	}
	if e := remoteError(v); e != nil {
		return nil, e
	}
	return nil, nonsense(Yes, "the server raised what is no exception")
}

// closing reports whether the server closes the connection after such an error.
func closing(err error) bool {
	var e *RemoteError
	return errors.As(err, &e) && e.closes()
}

// Metadata is what a server says an object exposes, each list sorted.
type Metadata struct {
	Methods []string // oneway ones included
	Oneway  []string
	Attrs   []string
}

// Metadata asks the server what the object exposes.
func (o *Object) Metadata(ctx context.Context) (Metadata, error) {
	v, err := newObject(o.client, o.via, object.Daemon).Call(ctx, "get_metadata", string(o.id))
	if err != nil {
		return Metadata{}, err
	}
	dict, ok := v.(map[string]any)
	if !ok {
		return Metadata{}, nonsense(Yes, "metadata is no dict")
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
