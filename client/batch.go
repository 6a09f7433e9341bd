package client

import (
	"context"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// Batch is a series of calls of one object that travel together and run in order, up to
// the first that fails. Not safe for concurrent use.
type Batch struct {
	object *Object
	calls  []any
}

// BatchResult is the outcome of one call of a batch. Err is a *RemoteError if the call
// raised, and a *CallError with Executed No if it was not run because of that.
type BatchResult struct {
	Value any
	Err   error
}

// Batch returns an empty batch.
func (o *Object) Batch() *Batch { return &Batch{object: o} }

// Add appends a call; args and kw may be nil. It returns b.
func (b *Batch) Add(method string, args []any, kw map[string]any) *Batch {
	if kw == nil {
		kw = map[string]any{}
	}
	b.calls = append(b.calls, codec.Tuple{method, codec.Tuple(args), kw})
	return b
}

// Run sends the batch and returns one result for each call. An error means that there
// are none: the server refused the batch as a whole (it may have run calls before the
// one that it refused), or it could not be reached. The batch can be run again.
func (b *Batch) Run(ctx context.Context) ([]BatchResult, error) {
	o := b.object
	one, err := o.via.acquire(ctx)
	if err != nil {
		return nil, err
	}
	keep, err := o.invoke(ctx, one, request{method: "<batch>", args: b.calls, nullKw: true, flags: wire.Batch})
	var v any
	if err == nil {
		v, err = one.value()
		keep = keep && !closing(err)
	}
	o.via.release(one, keep)
	if err != nil {
		return nil, err
	}
	values, ok := elements(v)
	if !ok || len(values) > len(b.calls) {
		return nil, nonsense(Yes, "the answer to a batch of %d calls does not fit", len(b.calls))
	}
	results := make([]BatchResult, len(b.calls))
	for i := range results {
		if i >= len(values) {
			results[i].Err = &CallError{Executed: No, Err: object.Errorf(object.CodeCanceled, "an earlier call of the batch failed")}
		} else if e := wrapped(values[i]); e != nil {
			results[i].Err = e
		} else {
			results[i].Value = values[i]
		}
	}
	return results, nil
}

// wrapped returns the exception in an exception wrapper, nil if v is none.
func wrapped(v any) error {
	dict, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	switch dict["__class__"] {
	case pyro.BatchWrapperClass(object.Pyro4), pyro.BatchWrapperClass(object.Pyro5):
		if e := remoteError(dict["exception"]); e != nil {
			return e
		}
	}
	return nil
}
