package plugins

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/launch"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// Invoke implements [object.Backend].
func (p *Plugin) Invoke(ctx context.Context, c *object.Call) (object.Reply, error) {
	if c.Enqueued != nil {
		c.Enqueued() // calls run in no order
	}
	if n := len(c.Payload); n > object.DefaultMessageBytes { // the limits of a tenant apply to its scripts only
		return object.Reply{}, object.Errorf(object.CodeTooLarge,
			"limit exceeded: arguments of %d bytes, a plugin takes at most %d; not executed",
			n, object.DefaultMessageBytes)
	}
	r, _, err := p.do(ctx, c, func(ctx context.Context, pr *process, n uint64) (*rpc.CallReply, error) {
		r, err := roundTrip[rpc.CallReply](ctx, pr, rpc.Plugin_Call_FullMethodName, request(c, n, c.Payload))
		if s := r.GetStream(); s != 0 && r.GetFailure() == nil {
			r.Stream = pr.opened(s)
		}
		return r, err
	})
	return r, err
}

// Next implements [object.Backend].
func (p *Plugin) Next(ctx context.Context, c *object.Call, stream uint64) (object.Reply, bool, error) {
	owner := p.owner(stream)
	if owner == nil {
		return object.Reply{}, false, object.ErrStreamGone
	}
	r, more, err := p.do(ctx, c, func(ctx context.Context, pr *process, n uint64) (*rpc.CallReply, error) {
		if pr != owner {
			return p.failed(object.ErrStreamGone), nil
		}
		r, err := roundTrip[rpc.CallReply](ctx, pr, rpc.Plugin_Next_FullMethodName,
			&rpc.NextRequest{Stream: stream & streamMask, Call: request(c, n, nil)})
		if r.GetStream() != 0 {
			r.Stream = 0 // an item must not open a stream
		}
		return r, err
	})
	if err != nil || !more || r.Exception {
		owner.closed(stream & streamMask)
	}
	return r, more, err
}

// do makes a request for the call c and maps its errors. It reports whether a stream has more items.
func (p *Plugin) do(
	ctx context.Context, c *object.Call, send func(context.Context, *process, uint64) (*rpc.CallReply, error),
) (object.Reply, bool, error) {
	if _, _, known := formatFields(c.Format); !known {
		return object.Reply{}, false, object.Errorf(object.CodeInvalid,
			"a plugin does not take calls in the format %q; not executed", c.Format)
	}
	ctx, w := p.enter(ctx, c)
	defer p.leave(w)
	if !c.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.Deadline)
		defer cancel()
	}
	pr, err := p.live(ctx)
	if err != nil {
		return object.Reply{}, false, err
	}
	d := pr.objects[c.ID]
	if d == nil {
		return object.Reply{}, false, errNoObject
	}
	if err := pr.checkFormat(c.Format); err != nil {
		return object.Reply{}, false, err
	}
	if err := pr.checkOnce(c, d); err != nil {
		return object.Reply{}, false, err
	}
	// The instance would wait for itself.
	if d.Instance != object.PerCall && slices.Contains(c.Chain, c.ID) {
		return object.Reply{}, false, object.Errorf(object.CodeInvalid,
			"call cycle: %s is already waiting for this call", c.ID)
	}
	if err := p.send(w); err != nil {
		return object.Reply{}, false, err
	}
	began := time.Now()
	n, under, err := pr.begin(c)
	if err != nil {
		return object.Reply{}, false, err
	}
	r, err := send(ctx, pr, n)
	if err != nil {
		err = outcome(ctx, err)
	}
	notStored := pr.gate(ctx, under, true)
	pr.finish(n, began, err)
	if object.CodeOf(err) == object.CodeUnavailable {
		pr.lost(err) // so that the client's retry reaches a new process
	}
	if err != nil {
		return object.Reply{}, false, err
	}
	if f := r.GetFailure(); f != nil {
		return object.Reply{}, false, pluginError(f)
	}
	if notStored != nil {
		if s := r.GetStream(); s != 0 {
			p.CloseStream(s)
		}
		return object.Reply{}, false, notStored
	}
	if c.Once != nil && !pr.stored(under) {
		return object.Reply{}, false, object.Errorf(object.CodeUnavailable,
			"%s did not store the answer of a call with an idempotency key; it was executed", c.ID)
	}
	return object.Reply{Payload: r.GetPayload(), Exception: r.GetException(), Stream: r.GetStream()}, !r.GetEnd(), nil
}

// checkOnce returns an error for a call with an idempotency key that the plugin cannot execute at most once.
func (pr *process) checkOnce(c *object.Call, d *object.Description) error {
	switch {
	case c.Once == nil:
		return nil
	case c.Once.Retry: // the SDKs store exceptions
		return object.Errorf(object.CodeInvalid, "%s is a plugin: webhooks call scripts only; not executed", c.ID)
	case !pr.supports.once:
		return object.Errorf(object.CodeInvalid,
			"%s does not take calls with an idempotency key: build it with a newer SDK; not executed", c.ID)
	case d.Instance != object.Single:
		return object.Errorf(object.CodeInvalid,
			"an idempotency key requires an object with one instance; not executed")
	case pr.p.cfg.Store == nil:
		return object.Errorf(object.CodeUnavailable, "store: this object has no durable state here; not executed")
	}
	return nil
}

// request returns the message for a call. n is its number in the process.
func request(c *object.Call, n uint64, payload []byte) *rpc.CallRequest {
	protocol, serializer, _ := formatFields(c.Format)
	r := &rpc.CallRequest{
		Call:        n,
		Object:      string(c.ID),
		Kind:        rpc.Kind(c.Kind),
		Method:      string(c.Method),
		Oneway:      c.Oneway,
		Traceback:   c.Traceback,
		Conn:        c.Conn,
		Protocol:    protocol,
		Serializer:  serializer,
		Correlation: c.Corr[:],
		Payload:     payload,
		Once:        c.Once != nil,
		Caller: &rpc.Caller{
			Principal: string(c.Caller.Principal),
			Tenant:    string(c.Caller.Tenant),
			Way:       c.Caller.Peer.Auth,
			Channel:   c.Caller.Peer.Channel,
			Address:   c.Caller.Peer.Addr,
		},
	}
	if !c.Deadline.IsZero() {
		r.DeadlineMicros = c.Deadline.UnixMicro()
	}
	for _, m := range c.Batch {
		r.Batch = append(r.Batch, string(m))
	}
	return r
}

// outcome returns the error of a call without an answer. It reports whether the call may have been executed.
func outcome(ctx context.Context, err error) error {
	const unknown = "; whether it was executed is unknown"
	code, msg := object.CodeInternal, ""
	why := status.Code(err)
	if why == codes.Canceled && ctx.Err() == nil {
		why = codes.Unavailable // the plugin ended and closed the connection during the call
	}
	switch why {
	case codes.DeadlineExceeded:
		code, msg = object.CodeDeadline, "no answer within the deadline of the call"+unknown
	case codes.Canceled:
		if err := withdrawn(ctx); err != nil {
			return err
		}
		code, msg = object.CodeCanceled, "the call was cancelled"+unknown
	case codes.ResourceExhausted:
		code, msg = object.CodeExhausted, fmt.Sprintf("limit exceeded: an answer of more than %d MiB; it was executed",
			rpc.MaxMessageBytes>>20)
	case codes.Unavailable:
		code, msg = object.CodeUnavailable, "the plugin ended during the call"+unknown
	default:
	}
	return &object.Error{Code: code, Msg: msg, Err: err}
}

// pluginError returns an error that a plugin answered with. Only some codes are accepted from a plugin.
func pluginError(f *rpc.Failure) error {
	e := &object.Error{
		Code:  object.Code(min(f.GetCode(), 255)),
		Msg:   launch.Clip(f.GetMessage()),
		Class: launch.Clip(f.GetClass()),
	}
	switch e.Code {
	case object.CodeInvalid, object.CodeTooLarge, object.CodeNotFound, object.CodeExhausted, object.CodeDeadline,
		object.CodeCanceled, object.CodeUnavailable:
	default:
		e.Code = object.CodeRaised
	}
	return e
}

// A stream id has the serial of its process in the upper bits and the number in that process in the lower bits.
const streamMask = 1<<40 - 1

func (pr *process) opened(s uint64) uint64 {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.streams[s&streamMask] = true
	return pr.serial<<40 | s&streamMask
}

func (pr *process) closed(s uint64) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	delete(pr.streams, s)
	pr.used = time.Now()
}

func (p *Plugin) owner(stream uint64) *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc != nil && p.proc.serial == stream>>40 {
		return p.proc
	}
	return nil
}

// notifyTimeout bounds a notification to the plugin.
const notifyTimeout = 5 * time.Second

// CloseStream implements [object.Backend].
func (p *Plugin) CloseStream(stream uint64) {
	if pr := p.owner(stream); pr != nil {
		pr.closed(stream & streamMask)
		go func() { // ends with the timeout or the process
			ctx, cancel := context.WithTimeout(context.Background(), notifyTimeout)
			defer cancel()
			_, _ = pr.rpc.CloseStream(ctx, &rpc.CloseStreamRequest{Stream: stream & streamMask})
		}()
	}
}

// EndConn implements [object.Backend].
func (p *Plugin) EndConn(conn uint64) {
	p.mu.Lock()
	pr := p.proc
	p.mu.Unlock()
	if pr == nil {
		return
	}
	go func() { // ends with the timeout or the process
		ctx, cancel := context.WithTimeout(context.Background(), notifyTimeout)
		defer cancel()
		_, _ = pr.rpc.EndConn(ctx, &rpc.EndConnRequest{Conn: conn})
	}()
}
