package builtin

import (
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
)

// Bounds on a batch of calls of a built-in object, whose arguments together have at most MaxArgumentBytes.
const (
	maxBatch       = 100     // calls: each may list all objects
	maxBatchResult = 8 << 20 // bytes of the results together
)

// batchLimits bound the arguments of all calls of a batch.
var batchLimits = codec.Limits{Depth: 8, Elements: 4096, Digits: 100}

// invokeBatch runs several methods in order and returns the list of their results. The first exception ends the batch
// and is its last result, as in Python's daemons. Nothing runs if one of the methods does not exist.
func (b *backend) invokeBatch(c *invocation) (object.Reply, error) {
	call := c.call
	if len(call.Batch) > maxBatch {
		const reason = "denied: more calls in a batch than one of the host's own objects takes"
		c.cfg.Dispatcher.Note(call, "", reason, "")
		return object.Reply{}, object.Errorf(object.CodeTooLarge,
			"limit exceeded: a batch of %d calls, %s takes at most %d; not executed",
			len(call.Batch), call.ID, maxBatch)
	}
	for _, m := range call.Batch {
		// The worker encodes an item of a stream, which cannot be part of a list.
		if _, ok := b.methods[m]; !ok || m == nextItem {
			return object.Reply{}, noSuchMethod(call.ID)
		}
	}
	calls, _, err := c.arguments(batchLimits)
	if err != nil {
		return object.Reply{}, err
	}
	results, left := make([]any, 0, len(call.Batch)), maxBatchResult
	for i, m := range call.Batch {
		result, size, err := b.runItem(c, m, calls, i)
		left -= size
		if err == nil && left < 0 {
			err = object.Errorf(object.CodeTooLarge, "limit exceeded: the results of a batch take more than %d MiB",
				maxBatchResult>>20)
		}
		if object.CodeOf(err) == object.CodeInternal {
			return object.Reply{}, err
		}
		if err != nil {
			results = append(results, codec.Dict{
				{Key: "__class__", Value: c.pyro.BatchWrapper()},
				{Key: "exception", Value: pyro.NewException(c.pyro.Generation(), err)},
			})
			break
		}
		results = append(results, result)
	}
	doc, err := codec.Append(c.pyro, call.Buffer[:0], results)
	return object.Reply{Payload: doc}, err
}

// runItem runs call i of a batch. calls has a triple of method, positional and keyword arguments for each call. It
// returns the result and its size in bytes.
func (b *backend) runItem(c *invocation, m object.Method, calls []any, i int) (any, int, error) {
	wrong := &object.Error{Code: object.CodeInvalid, Reason: object.ReasonType, Msg: "a batch takes a list of calls"}
	if i >= len(calls) {
		return nil, 0, wrong
	}
	triple, ok := sequence(calls[i])
	if !ok || len(triple) != 3 || triple[0] != string(m) {
		return nil, 0, wrong
	}
	params, ok := sequence(triple[1])
	kwargs, named := triple[2].(map[string]any)
	if !ok || !named && triple[2] != nil {
		return nil, 0, wrong
	}
	args, err := bind(m, b.methods[m].params, params, kwargs)
	if err != nil {
		return nil, 0, err
	}
	result, err := b.methods[m].run(c, args)
	if err != nil {
		return nil, 0, err
	}
	doc, err := codec.Append(c.pyro, c.call.Buffer[:0], result)
	return result, len(doc), err
}

// sequence returns the elements of a list or tuple.
func sequence(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case codec.Tuple:
		return v, true
	}
	return nil, false
}
