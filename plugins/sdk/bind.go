package sdk

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/signature"
)

// mismatch is an argument that does not fit. The text names the argument, such as "order.items[2]: expected integer,
// got string".
type mismatch string

func (m mismatch) Error() string { return string(m) }

func mismatchf(format string, args ...any) error { return mismatch(fmt.Sprintf(format, args...)) }

// refused returns the error of a call whose arguments do not fit: the call was not executed.
func refused(method string, m mismatch) error {
	e := object.Errorf(object.CodeInvalid, "%s: %s", method, string(m))
	e.Reason = object.ReasonType
	return e
}

// bind returns the values of the parameters of a function, behind its instance and its context. Keyword arguments bind
// by name. The error is a mismatch.
func (f *function) bind(args []any, kwargs Kwargs) ([]reflect.Value, error) {
	params := f.sig.Params
	if len(args) > len(params) && f.sig.Variadic == nil {
		return nil, mismatchf("takes %s, got %d", signature.ArgumentCount(len(params)), len(args))
	}
	values, rest, err := f.place(args, kwargs)
	if err != nil {
		return nil, err
	}
	if f.expand {
		v := reflect.New(f.args[0]).Elem()
		for i, one := range f.fields {
			if err := f.assign(v.FieldByIndex(one.index), i, values, len(args)); err != nil {
				return nil, err
			}
		}
		return f.withKeywords([]reflect.Value{v}, rest), nil
	}
	var in []reflect.Value
	for i := range params {
		v := reflect.New(f.args[i]).Elem()
		if err := f.assign(v, i, values, len(args)); err != nil {
			return nil, err
		}
		in = append(in, v)
	}
	for i := len(params); i < len(args); i++ {
		v := reflect.New(f.args[len(params)].Elem()).Elem()
		if err := convert(v, args[i], &path{index: i + 1}); err != nil {
			return nil, err
		}
		in = append(in, v)
	}
	return f.withKeywords(in, rest), nil
}

func (f *function) withKeywords(in []reflect.Value, rest Kwargs) []reflect.Value {
	if f.kwargs {
		in = append(in, reflect.ValueOf(rest))
	}
	return in
}

// argument is the value of a parameter.
type argument struct {
	v     any
	given bool
}

// place returns the arguments in the order of the parameters, and the keyword arguments that are not parameters.
func (f *function) place(args []any, kwargs Kwargs) (values []argument, rest Kwargs, err error) {
	params := f.sig.Params
	values = make([]argument, len(params))
	for i := range min(len(args), len(params)) {
		values[i] = argument{args[i], true}
	}
	used := 0
	for i, p := range params {
		v, ok := kwargs[p.Name]
		if !ok {
			continue
		}
		if i < len(args) {
			return nil, nil, mismatchf("%s is given twice: as argument %d and by name", p.Name, i+1)
		}
		values[i] = argument{v, true}
		used++
	}
	if used == len(kwargs) {
		return values, nil, nil
	}
	rest = Kwargs{}
	for name, v := range kwargs {
		if !f.hasParam(name) {
			rest[name] = v
		}
	}
	if !f.kwargs {
		names := make([]string, 0, len(rest))
		for name := range rest {
			names = append(names, name)
		}
		return nil, nil, mismatchf("no parameter %s; %s", clip(slices.Min(names), maxShown), f.paramNames())
	}
	return values, rest, nil
}

func (f *function) hasParam(name string) bool {
	for _, p := range f.sig.Params {
		if p.Name == name {
			return true
		}
	}
	return false
}

// paramNames lists the parameters for a message.
func (f *function) paramNames() string {
	if len(f.sig.Params) == 0 {
		return "it has no parameters"
	}
	names := make([]string, len(f.sig.Params))
	for i, p := range f.sig.Params {
		names[i] = p.Name
	}
	return "the parameters are " + clip(strings.Join(names, ", "), 5*maxShown)
}

// assign converts the argument of parameter i. positional is the number of positional arguments.
func (f *function) assign(to reflect.Value, i int, values []argument, positional int) error {
	p := f.sig.Params[i]
	a := values[i]
	switch {
	case a.given && a.v != nil:
		return convert(to, a.v, &path{name: p.Name})
	case p.Optional || a.given && nillable(to.Type()):
		return nil // the zero value
	case i < positional || a.given:
		return mismatchf("%s: expected %s, got None", p.Name, p.Type)
	}
	return mismatchf("%s: expected %s, got nothing", p.Name, p.Type)
}

// nillable reports whether None is a value of a type that no parameter declares as optional.
func nillable(t reflect.Type) bool {
	return t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer && t != bigIntType
}

// maxShown bounds a value or name of the caller in a message, in bytes.
const maxShown = 40

// clip returns the beginning of a text, about n bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// path is the position of a value, for messages: a parameter, or a part of the value at outer.
type path struct {
	outer *path
	name  string // of a parameter, a field or a key
	index int    // of an element or an argument, from 1; 0: see name
}

// maxPath bounds the parts of a path in a message.
const maxPath = 10

func (p *path) String() string {
	var parts []string
	for ; p != nil; p = p.outer {
		if parts = append(parts, p.part()); len(parts) == maxPath {
			parts = append(parts, "…")
			break
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, "")
}

// part returns the last part of a path.
func (p *path) part() string {
	switch {
	case p.index > 0 && p.outer == nil:
		return fmt.Sprint("argument ", p.index)
	case p.index > 0:
		return fmt.Sprintf("[%d]", p.index)
	case p.outer != nil:
		return "." + clip(p.name, maxShown)
	}
	return clip(p.name, maxShown)
}
