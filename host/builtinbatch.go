package host

import (
	"fmt"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
)

// Bounds on a batch of calls of one of the host's own objects. Its arguments have at most maxOwnBytes together.
const (
	maxOwnBatch       = 100     // calls: each may list all objects
	maxOwnBatchResult = 8 << 20 // bytes of the results together
)

// ownBatchLimits are for the arguments of all calls of a batch.
var ownBatchLimits = codec.Limits{Depth: 8, Elements: 4096, Digits: 100}

// callHostBatch runs several methods of one of the host's own objects in order and returns the list of their
// results. The first exception ends it and is the last of the results, as at Python's daemons. Nothing runs if
// one of the methods does not exist.
func (c *conn) callHostBatch(
	snap *snapshot, call *object.Call, ser codec.Serializer, methods map[object.Method]builtin,
) (object.Reply, error) {
	if len(call.Batch) > maxOwnBatch {
		c.h.note(call, "", "denied: more calls in a batch than one of the host's own objects takes", "")
		return object.Reply{}, object.Errorf(object.CodeTooLarge, "limit exceeded: a batch of %d calls, %s takes at most %d; "+
			"not executed", len(call.Batch), call.ID, maxOwnBatch)
	}
	for _, m := range call.Batch {
		if _, ok := methods[m]; !ok || m == nextItem { // an item stands in the worker's words
			return object.Reply{}, noSuchMethod(call.ID)
		}
	}
	calls, _, err := c.ownArguments(call, ser, ownBatchLimits)
	if err != nil {
		return object.Reply{}, err
	}
	results, left := make([]any, 0, len(call.Batch)), maxOwnBatchResult
	for i, m := range call.Batch {
		result, err := c.callOfBatch(snap, call, methods[m], m, calls, i)
		if err == nil {
			var doc []byte
			if doc, err = codec.Append(ser, c.result[:0], result); err == nil {
				if left -= len(doc); left < 0 {
					err = object.Errorf(object.CodeTooLarge, "limit exceeded: the results of a batch take more than %d MiB",
						maxOwnBatchResult>>20)
				}
			}
		}
		if object.CodeOf(err) == object.CodeInternal {
			return object.Reply{}, err
		}
		if err != nil {
			results = append(results, codec.Dict{
				{Key: "__class__", Value: pyro.BatchWrapperClass(c.proto)},
				{Key: "exception", Value: pyro.NewException(c.proto, err)},
			})
			break
		}
		results = append(results, result)
	}
	doc, err := codec.Append(ser, c.result[:0], results)
	return object.Reply{Payload: doc}, err
}

// callOfBatch runs call i of a batch, whose arguments stand in calls: triples of method, positional and keyword
// arguments.
func (c *conn) callOfBatch(
	snap *snapshot, call *object.Call, b builtin, m object.Method, calls []any, i int,
) (any, error) {
	wrong := &object.Error{Code: object.CodeInvalid, Class: "TypeError", Msg: "a batch takes a list of calls"}
	if i >= len(calls) {
		return nil, wrong
	}
	triple, ok := sequence(calls[i])
	if !ok || len(triple) != 3 || triple[0] != string(m) {
		return nil, wrong
	}
	params, ok := sequence(triple[1])
	kwargs, named := triple[2].(map[string]any)
	if !ok || !named && triple[2] != nil {
		return nil, wrong
	}
	args, err := bind(m, b.params, params, kwargs)
	if err != nil {
		return nil, err
	}
	return b.run(c, snap, call, args)
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

// noSuchMethod is the error for a method that one of the host's own objects does not have.
func noSuchMethod(id object.ID) error {
	return &object.Error{Code: object.CodeNotFound, Class: "AttributeError",
		Msg: fmt.Sprintf("%s has no such method", id)}
}
