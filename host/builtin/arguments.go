package builtin

import (
	"fmt"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// bind returns positional and keyword arguments in the order of the parameter names, nil for each one that is missing.
func bind(method object.Method, names []string, params []any, kwargs map[string]any) ([]any, error) {
	typeError := func(format string, a ...any) error {
		return &object.Error{
			Code:   object.CodeInvalid,
			Reason: object.ReasonType,
			Msg:    string(method) + "() " + fmt.Sprintf(format, a...),
		}
	}
	if len(params) > len(names) {
		return nil, typeError("takes at most %d arguments, %d were given", len(names), len(params))
	}
	args := make([]any, len(names))
	copy(args, params)
	used := 0
	for i, name := range names {
		v, ok := kwargs[name]
		if !ok {
			continue
		}
		if i < len(params) {
			return nil, typeError("got the argument %s twice", name)
		}
		args[i] = v
		used++
	}
	if used < len(kwargs) {
		return nil, typeError("got a keyword argument that it does not have; it has %v", names)
	}
	return args, nil
}

// text returns an argument, which must be a string.
func text(name string, v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", &object.Error{Code: object.CodeInvalid, Reason: object.ReasonType, Msg: name + " must be a text"}
	}
	return s, nil
}

// truthy reports whether Python treats a value as true. Clients pass values of any type as flags.
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
		return nil, &object.Error{
			Code:   object.CodeInvalid,
			Reason: object.ReasonType,
			Msg:    name + " must be a list, tuple or set of texts",
		}
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
