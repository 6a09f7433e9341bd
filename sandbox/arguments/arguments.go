// Package arguments binds the arguments of a call to the parameters of a function, and checks them by its signature.
//
// Keyword arguments bind to parameters by name. Others go to a last parameter named kwargs, and are an error without
// one. A function with ... takes any number of positional arguments, and other keyword arguments as a last table.
package arguments

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
	"github.com/hearthhost/hearth/signature"
)

// Binding is what calls of a function need of its signature. It is immutable and safe for concurrent use.
type Binding struct {
	params    []signature.Param // without the instance and kwargs
	keywords  bool              // the function has a last parameter kwargs
	variadic  *signature.Type   // type of further arguments; nil: no further arguments
	annotated bool
	types     *signature.Types
	floats    []bool // results that are sent as floats, see Floats
}

// keywordsName is the name of the parameter that receives other keyword arguments.
const keywordsName = "kwargs"

// New returns the binding of a signature, whose named types are types.
func New(f *signature.Function, types *signature.Types) *Binding {
	b := &Binding{params: f.Params, variadic: f.Variadic, annotated: f.Annotated, types: types}
	if n := len(f.Params); n > 0 && f.Params[n-1].Name == keywordsName {
		b.params, b.keywords = f.Params[:n-1], true
	}
	for i, r := range f.Returns {
		if isNumber(r.Type) {
			b.floats = append(b.floats, make([]bool, i+1-len(b.floats))...)
			b.floats[i] = true
		}
	}
	return b
}

// isNumber reports whether a type is number or number?.
func isNumber(t *signature.Type) bool {
	if t.Kind == signature.Union && len(t.Of) == 2 && t.Of[1].Kind == signature.Nil {
		t = t.Of[0]
	}
	return t.Kind == signature.Number
}

// Mismatch is an argument that does not fit. The text names the argument, such as "order.items[2]: expected integer, got
// string".
type Mismatch string

func (m Mismatch) Error() string { return string(m) }

func mismatch(format string, args ...any) error { return Mismatch(fmt.Sprintf(format, args...)) }

// Binder binds the arguments of the calls of one instance.
type Binder struct {
	Types *values.Types
	// Spend charges for reading a value. Its error ends the call.
	Spend func(steps int) error
}

// Bind binds the arguments of a call. They are on the stack above the first base values; keywords has the keyword
// arguments, nil for none. Afterwards the stack has the arguments of the function. The error is a [Mismatch] or that of
// Spend.
func (b *Binding) Bind(r Binder, L *lua.Thread, base int, keywords *lua.Table) error {
	n := L.Top() - base // positional arguments
	if n > len(b.params) && b.variadic == nil {
		return mismatch("takes %s, got %d", plural(len(b.params)), n)
	}
	if keywords != nil {
		if err := b.bindKeywords(r, L, base, n, keywords); err != nil {
			return err
		}
	}
	if !b.annotated {
		return nil
	}
	return b.check(r, L, base, n, keywords)
}

func plural(n int) string {
	switch n {
	case 0:
		return "no arguments"
	case 1:
		return "1 argument"
	default:
		return fmt.Sprintf("%d arguments", n)
	}
}

// bindKeywords pushes the keyword arguments after n positional ones.
func (b *Binding) bindKeywords(r Binder, L *lua.Thread, base, n int, keywords *lua.Table) error {
	if err := r.Spend(keywords.Room()); err != nil {
		return err
	}
	left, last := keywords.Count(), n
	for i, p := range b.params {
		if keywords.GetString(p.Name).IsNil() {
			continue
		}
		if i < n {
			return mismatch("%s is given twice: as argument %d and by name", p.Name, i+1)
		}
		left--
		last = i + 1
	}
	if left > 0 && !b.keywords && b.variadic == nil {
		return mismatch("no parameter %s; %s", values.Clip(b.unknown(keywords), maxShown), b.names())
	}
	for i := n; i < last; i++ {
		v := keywords.GetString(b.params[i].Name)
		if v == r.Types.Null {
			v = lua.Nil
		}
		L.Push(v)
	}
	if left == 0 {
		return nil
	}
	rest := keywords
	if left < keywords.Count() {
		rest = L.NewTable(0, left)
		rest.SetMeta(keywords.Meta)
		for k, v := range keywords.All() {
			if !b.isParam(k) {
				rest.Set(k, v)
			}
		}
	}
	if b.keywords {
		for L.Top() < base+len(b.params) {
			L.Push(lua.Nil)
		}
	}
	L.Push(rest.Value())
	return nil
}

// isParam reports whether a keyword names a parameter.
func (b *Binding) isParam(key lua.Value) bool {
	name, _ := key.AsString()
	return slices.ContainsFunc(b.params, func(p signature.Param) bool { return p.Name == name })
}

// unknown returns the first keyword, in order, that names no parameter.
func (b *Binding) unknown(keywords *lua.Table) string {
	var all []string
	for k := range keywords.All() {
		if name, _ := k.AsString(); !b.isParam(k) {
			all = append(all, name)
		}
	}
	sort.Strings(all)
	return all[0]
}

// names lists the parameters for a message.
func (b *Binding) names() string {
	if len(b.params) == 0 {
		return "it has no parameters"
	}
	all := make([]string, len(b.params))
	for i, p := range b.params {
		all[i] = p.Name
	}
	return "the parameters are " + values.Clip(strings.Join(all, ", "), 5*maxShown)
}

// maxShown bounds a value or name of the caller in a message, in bytes.
const maxShown = 40

// check checks the arguments on the stack, of which n were positional.
func (b *Binding) check(r Binder, L *lua.Thread, base, n int, keywords *lua.Table) error {
	c := checker{Binder: r, named: b.types}
	given := L.Top() - base
	for i, p := range b.params {
		switch {
		case i < given && !L.Get(base+i+1).IsNil():
			if err := c.value(L.Get(base+i+1), p.Type, path{name: p.Name}); err != nil {
				return err
			}
		case p.Optional:
		case i < n || keywords != nil && !keywords.GetString(p.Name).IsNil():
			return mismatch("%s: expected %s, got None", p.Name, p.Type)
		default:
			return mismatch("%s: expected %s, got nothing", p.Name, p.Type)
		}
	}
	if b.variadic == nil || b.keywords {
		return nil
	}
	for i := len(b.params); i < given; i++ {
		at := path{name: fmt.Sprintf("argument %d", i+1)}
		if err := c.value(L.Get(base+i+1), b.variadic, at); err != nil {
			return err
		}
	}
	return nil
}

// CheckValue checks the value of an attribute that is set.
func (b *Binding) CheckValue(r Binder, v lua.Value) error {
	if !b.annotated || len(b.params) == 0 {
		return nil
	}
	c := checker{Binder: r, named: b.types}
	return c.value(v, b.params[0].Type, path{name: "the value"})
}

// Floats makes floats of the results on the stack that are declared as numbers. Others are sent as integers if they have
// no fraction.
func (b *Binding) Floats(types *values.Types, L *lua.Thread) {
	for i := range min(len(b.floats), L.Top()) {
		f, ok := L.Get(i + 1).AsNumber()
		if !ok || !b.floats[i] {
			continue
		}
		L.Replace(i+1, lua.NewUserData(values.Float(f), types.Float))
	}
}
