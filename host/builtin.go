package host

import (
	"fmt"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// builtin is a method of one of the host's own objects. Its parameters are named, since
// Python clients pass them by position or by name.
type builtin struct {
	params []string
	run    func(c *conn, snap *snapshot, call *object.Call, args []any) (any, error)
}

// raw is a result that stands in the call's serializer already.
type raw object.Reply

// callHost runs a method of one of the host's own objects.
func (c *conn) callHost(snap *snapshot, call *object.Call, ser codec.Serializer, methods map[object.Method]builtin) (object.Reply, error) {
	if call.Kind == object.Batch && call.ID != object.Enroll {
		return c.callHostBatch(snap, call, ser, methods)
	}
	b, ok := methods[call.Method]
	if !ok || call.Kind != object.Invoke {
		return object.Reply{}, noSuchMethod(call.ID)
	}
	params, kwargs, err := c.ownArguments(call, ser, ownLimits)
	if err != nil {
		return object.Reply{}, err
	}
	args, err := bind(call.Method, b.params, params, kwargs)
	if err != nil {
		return object.Reply{}, err
	}
	result, err := b.run(c, snap, call, args)
	if err != nil {
		return object.Reply{}, err
	}
	if r, ok := result.(raw); ok {
		return object.Reply(r), nil
	}
	doc, err := codec.Append(ser, c.result[:0], result)
	return object.Reply{Payload: doc}, err
}

// Bounds on the arguments of the host's own objects, which the host decodes itself. The longest is a request for a
// certificate, of 8 KiB.
const maxOwnBytes = wire.HeadBytes

var ownLimits = codec.Limits{Depth: 8, Elements: 256, Digits: 100}

// ownArguments decodes the arguments of a call of one of the host's own objects, or of a batch. Arguments above the
// bounds are noted as a denial.
func (c *conn) ownArguments(call *object.Call, ser codec.Serializer, limits codec.Limits) (
	params []any, kwargs map[string]any, err error,
) {
	const over = "limit exceeded: arguments of %s%d bytes, %s takes at most %d; not executed"
	switch n := len(call.Payload); {
	case c.short:
		err = object.Errorf(object.CodeTooLarge, over, "more than ", maxOwnBytes, call.ID, maxOwnBytes)
	case n > maxOwnBytes:
		err = object.Errorf(object.CodeTooLarge, over, "", n, call.ID, maxOwnBytes)
	default:
		params, kwargs, err = codec.UnmarshalCall(ser, call.Payload, limits)
	}
	if object.CodeOf(err) == object.CodeTooLarge {
		c.h.note(call, call.Method, "denied: more arguments than one of the host's own objects takes", "")
	}
	return params, kwargs, err
}

// bind lays positional and keyword arguments out in the order of names. What was not
// given is nil.
func bind(method object.Method, names []string, params []any, kwargs map[string]any) ([]any, error) {
	typeError := func(format string, a ...any) error {
		return &object.Error{Code: object.CodeInvalid, Class: "TypeError", Msg: string(method) + "() " + fmt.Sprintf(format, a...)}
	}
	if len(params) > len(names) {
		return nil, typeError("takes at most %d arguments, %d were given", len(names), len(params))
	}
	args := make([]any, len(names))
	copy(args, params)
	taken := 0
	for i, name := range names {
		v, ok := kwargs[name]
		if !ok {
			continue
		}
		if i < len(params) {
			return nil, typeError("got the argument %s twice", name)
		}
		args[i] = v
		taken++
	}
	if taken < len(kwargs) {
		return nil, typeError("got a keyword argument that it does not have; it has %v", names)
	}
	return args, nil
}

// text returns an argument that has to be a text.
func text(name string, v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", &object.Error{Code: object.CodeInvalid, Class: "TypeError", Msg: name + " must be a text"}
	}
	return s, nil
}

// truthy is Python's notion of truth, for flags that clients fill with anything.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case codec.Tuple:
		return len(v) > 0
	case codec.Set:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// texts returns the elements of a list, tuple or set of texts; nil for nil.
func texts(name string, v any) ([]string, error) {
	var items []any
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		items = v
	case codec.Tuple:
		items = v
	case codec.Set:
		items = v
	default:
		return nil, &object.Error{Code: object.CodeInvalid, Class: "TypeError", Msg: name + " must be a list, tuple or set of texts"}
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		s, err := text("an element of "+name, item)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
