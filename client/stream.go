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

// closeTimeout bounds the attempt to tell a server that a stream is not wanted any more.
const closeTimeout = time.Second

// Stream calls a method that returns an iterator and returns its items. The call is made
// when the sequence is ranged over, anew each time. An error is the last thing that the
// sequence yields. Leaving the loop early closes the stream on the server. Until the end
// of the loop the stream holds one of the client's connections.
func (o *Object) Stream(ctx context.Context, method string, args ...any) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		via, unpin, err := o.via.pin(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		defer unpin()
		id, err := newObject(o.client, via, o.id).open(ctx, method, args)
		if err != nil {
			yield(nil, err)
			return
		}
		daemon, live := newObject(o.client, via, object.Daemon), true
		defer func() {
			if live {
				// Best effort: at the latest the end of the connection frees the stream.
				closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
				defer cancel()
				_ = daemon.Oneway(closing, "close_stream", id)
			}
		}()
		for {
			item, err := daemon.Call(ctx, "get_next_stream_item", id)
			if live = err == nil; !live {
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

// open makes the call that opens a stream and returns the stream's id.
func (o *Object) open(ctx context.Context, method string, args []any) (string, error) {
	one, err := o.via.acquire(ctx)
	if err != nil {
		return "", err
	}
	keep, err := o.invoke(ctx, one, request{method: method, args: args})
	if err != nil {
		o.via.release(one, keep)
		return "", err
	}
	id, err := one.stream()
	if err != nil || id != "" {
		o.via.release(one, keep && err == nil)
		return id, err
	}
	_, err = one.value()
	o.via.release(one, keep && !closing(err))
	if err == nil {
		err = nonsense(Yes, "the result is no item stream: use Call")
	}
	return "", err
}

// stream returns the id of the item stream that the reply opens, "" if it opens none.
func (c *conn) stream() (string, error) {
	if c.reply.Flags&wire.ItemStream == 0 {
		return "", nil
	}
	id, ok := c.reply.Annotation("STRM")
	if !ok || len(id) == 0 {
		return "", nonsense(Yes, "result of call is an iterator, but the server is not configured to allow streaming")
	}
	return string(id), nil
}

// closeStream tells the server, on this connection, that a stream is not wanted.
func (c *conn) closeStream(ctx context.Context, id string) (keep bool) {
	keep, _ = newObject(c.client, nil, object.Daemon).invoke(ctx, c,
		request{method: "close_stream", args: []any{id}, flags: wire.Oneway})
	return keep
}

// exhausted reports whether an error is the ordinary end of a stream.
func exhausted(err error) bool {
	var e *RemoteError
	return errors.As(err, &e) && strings.TrimPrefix(strings.TrimPrefix(e.Class, "builtins."), "exceptions.") == "StopIteration"
}
