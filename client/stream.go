package client

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// closeTimeout bounds the request to close a stream.
const closeTimeout = time.Second

// Stream calls a method that returns an iterator and returns its items. Each range over the sequence makes a new
// call. An error is the last element of the sequence. Leaving the loop early closes the stream on the server. The
// stream uses one of the client's connections until the end of the loop.
func (o *Object) Stream(ctx context.Context, method string, args ...any) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		if o.client.web != nil {
			o.client.web.stream(ctx, o, method, args, yield)
			return
		}
		source, unpin, err := o.source.pin(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		defer unpin()
		id, err := newObject(o.client, source, o.id).open(ctx, method, args)
		if err != nil {
			yield(nil, err)
			return
		}
		daemon, live := newObject(o.client, source, object.Daemon), true
		defer func() {
			if live {
				// Best effort: the end of the connection also frees the stream.
				closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
				defer cancel()
				_ = daemon.Oneway(closeCtx, "close_stream", id)
			}
		}()
		for {
			item, err := daemon.Call(ctx, "get_next_stream_item", id)
			live = err == nil
			if !live {
				if !exhausted(err) {
					yield(nil, err)
				}
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// open makes the call that opens a stream and returns the id of the stream.
func (o *Object) open(ctx context.Context, method string, args []any) (string, error) {
	one, err := o.source.acquire(ctx)
	if err != nil {
		return "", err
	}
	keep, err := o.invoke(ctx, one, request{method: method, args: args})
	if err != nil {
		o.source.release(one, keep)
		return "", err
	}
	id, err := one.stream()
	if err != nil || id != "" {
		o.source.release(one, keep && err == nil)
		return id, err
	}
	_, err = one.value()
	o.source.release(one, keep && !closesConnection(err))
	if err == nil {
		err = badReply(Yes, "the result is not an item stream: use Call")
	}
	return "", err
}

// stream returns the id of the item stream in the reply, "" without one.
func (c *conn) stream() (string, error) {
	if c.reply.Flags&wire.ItemStream == 0 {
		return "", nil
	}
	id, ok := c.reply.Annotation("STRM")
	if !ok || len(id) == 0 {
		return "", badReply(Yes,
			"result of call is an iterator, but the server is not configured to allow streaming")
	}
	return string(id), nil
}

// closeStream closes a stream on the server over this connection.
func (c *conn) closeStream(ctx context.Context, id string) (keep bool) {
	keep, _ = newObject(c.client, nil, object.Daemon).invoke(ctx, c,
		request{method: "close_stream", args: []any{id}, flags: wire.Oneway})
	return keep
}

// exhausted reports whether an error is the normal end of a stream.
func exhausted(err error) bool {
	var e *RemoteError
	if !errors.As(err, &e) {
		return false
	}
	class := strings.TrimPrefix(strings.TrimPrefix(e.Class, "builtins."), "exceptions.")
	return class == "StopIteration"
}
