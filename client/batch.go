package client

import (
	"context"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// Batch is a series of calls of one object in one request. They run in order up to the first failure. Not safe for
// concurrent use.
type Batch struct {
	object *Object
	calls  []batchCall
}

// batchCall is a call of a batch. It writes itself as the triple of Pyro's batches.
type batchCall struct {
	method string
	args   []any
	kw     map[string]any
}

// WriteValue implements [codec.Writer].
func (c *batchCall) WriteValue(sink object.Sink) error {
	if err := sink.Begin(object.TupleKind, 3); err != nil {
		return err
	}
	if err := sink.Text(unsafestr.Bytes(c.method)); err != nil {
		return err
	}
	if err := sink.Begin(object.TupleKind, len(c.args)); err != nil {
		return err
	}
	for _, arg := range c.args {
		if err := codec.Write(sink, arg); err != nil {
			return err
		}
	}
	if err := sink.End(); err != nil {
		return err
	}
	if err := codec.Write(sink, c.kw); err != nil {
		return err
	}
	return sink.End()
}

// BatchResult is the result of one call of a batch. Err is a *RemoteError if the call raised an exception. It is a
// *CallError with Executed No if an earlier call failed.
type BatchResult struct {
	Value any
	Err   error
}

// Batch returns an empty batch.
func (o *Object) Batch() *Batch { return &Batch{object: o} }

// Add appends a call; args and kw may be nil. It returns b.
func (b *Batch) Add(method string, args []any, kw map[string]any) *Batch {
	b.calls = append(b.calls, batchCall{method, args, kw})
	return b
}

// Run sends the batch and returns one result for each call. After an error there are no results: the server is
// unreachable or has rejected the whole batch. In the second case it may have executed the calls before the rejected
// one. A batch can be run again.
func (b *Batch) Run(ctx context.Context) ([]BatchResult, error) {
	o := b.object
	if o.client.web != nil {
		return nil, &CallError{Executed: No, Err: object.Errorf(object.CodeInvalid, "HTTP has no batches")}
	}
	one, err := o.source.acquire(ctx)
	if err != nil {
		return nil, err
	}
	calls := make([]any, len(b.calls))
	for i := range calls {
		calls[i] = &b.calls[i]
	}
	keep, err := o.invoke(ctx, one, request{method: "<batch>", args: calls, nullKw: true, flags: wire.Batch})
	var v any
	if err == nil {
		v, err = one.value()
		keep = keep && !closesConnection(err)
	}
	o.source.release(one, keep)
	if err != nil {
		return nil, err
	}
	values, ok := elements(v)
	if !ok || len(values) > len(b.calls) {
		return nil, badReply(Yes, "the reply to a batch of %d calls does not match it", len(b.calls))
	}
	results := make([]BatchResult, len(b.calls))
	for i := range results {
		if i >= len(values) {
			err := object.Errorf(object.CodeCanceled, "an earlier call of the batch failed")
			results[i].Err = &CallError{Executed: No, Err: err}
		} else if e := unwrapException(values[i]); e != nil {
			results[i].Err = e
		} else {
			results[i].Value = values[i]
		}
	}
	return results, nil
}

// unwrapException returns the exception in an exception wrapper, nil for other values.
func unwrapException(v any) error {
	dict, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	switch dict["__class__"] {
	case pyro.BatchWrapperClass(wire.Pyro4), pyro.BatchWrapperClass(wire.Pyro5):
		if e := remoteError(dict["exception"]); e != nil {
			return e
		}
	}
	return nil
}
