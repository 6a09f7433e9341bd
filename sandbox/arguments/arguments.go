// Package arguments binds the arguments of a call to the parameters of a function, and checks them by its signature.
//
// Keyword arguments bind to parameters by name. Others go to a last parameter named kwargs, and are an error without
// one. A function with ... takes any number of positional arguments. If no annotation declares the type of ..., it also
// takes other keyword arguments, as a last table.
package arguments

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
	"github.com/hearthhost/hearth/signature"
)

// Binding is a signature, prepared for the calls of its function. It is immutable and safe for concurrent use.
type Binding struct {
	f      *signature.Function
	types  *signature.Types
	others *signature.Type // type of keyword arguments that are not parameters; nil: an error
	floats []bool          // results that are sent as floats, see Floats
}

// New returns the binding of a signature, whose named types are types.
func New(f *signature.Function, types *signature.Types) *Binding {
	b := &Binding{f: f, types: types, others: f.Others()}
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

// Mismatch is an argument that does not fit. The text names the argument, such as "order.items[2]: expected integer,
// got string".
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
	if n > len(b.f.Params) && b.f.Variadic == nil {
		return mismatch("takes %s, got %d", signature.ArgumentCount(len(b.f.Params)), n)
	}
	if keywords != nil || n > len(b.f.Params) {
		if err := b.place(r, L, base, n, keywords); err != nil {
			return err
		}
	}
	if !b.f.Annotated {
		return nil
	}
	return b.check(r, L, base, n, keywords)
}

// place puts keyword arguments, and positional ones behind kwargs, in their positions. n arguments are positional.
func (b *Binding) place(r Binder, L *lua.Thread, base, n int, keywords *lua.Table) error {
	params := len(b.f.Params)
	rest, err := b.named(r, L, base, n, keywords)
	if err != nil {
		return err
	}
	if b.f.Keywords == nil {
		if rest != nil {
			L.Push(rest.Value())
		}
		return nil
	}
	if rest == nil && n <= params {
		return nil
	}
	var further []lua.Value
	for i := params; i < n; i++ {
		further = append(further, L.Get(base+i+1))
	}
	if err := r.Spend(len(further)); err != nil {
		return err
	}
	L.SetTop(base + params)
	L.Push(lua.Nil)
	if rest != nil {
		L.Replace(base+params+1, rest.Value())
	}
	for _, v := range further {
		L.Push(v)
	}
	return nil
}

// named pushes the keyword arguments that are parameters, after n positional ones. It returns a table of the others,
// nil for none.
func (b *Binding) named(r Binder, L *lua.Thread, base, n int, keywords *lua.Table) (*lua.Table, error) {
	if keywords == nil {
		return nil, nil
	}
	if err := r.Spend(keywords.Room() + len(b.f.Params)); err != nil {
		return nil, err
	}
	others, last := keywords.Count(), n
	for i, p := range b.f.Params {
		if keywords.GetString(p.Name).IsNil() {
			continue
		}
		if i < n {
			return nil, mismatch("%s is given twice: as argument %d and by name", p.Name, i+1)
		}
		others--
		last = i + 1
	}
	if others > 0 && b.others == nil {
		return nil, mismatch("no parameter %s; %s", values.Clip(b.unknown(keywords), maxShown), b.names())
	}
	for i := n; i < last; i++ {
		v := keywords.GetString(b.f.Params[i].Name)
		if v == r.Types.Null {
			v = lua.Nil
		}
		L.Push(v)
	}
	if others == 0 || others == keywords.Count() {
		if others == 0 {
			keywords = nil
		}
		return keywords, nil
	}
	rest := L.NewTable(0, others)
	rest.SetMeta(keywords.Meta)
	for k, v := range keywords.All() {
		if !b.isParam(k) {
			rest.Set(k, v)
		}
	}
	return rest, nil
}

// isParam reports whether a keyword names a parameter.
func (b *Binding) isParam(key lua.Value) bool {
	name, _ := key.AsString()
	return slices.ContainsFunc(b.f.Params, func(p signature.Param) bool { return p.Name == name })
}

// unknown returns the first keyword in alphabetical order that names no parameter.
func (b *Binding) unknown(keywords *lua.Table) string {
	first, found := "", false
	for k := range keywords.All() {
		if name, _ := k.AsString(); !b.isParam(k) && (!found || name < first) {
			first, found = name, true
		}
	}
	return first
}

// names lists the parameters for a message.
func (b *Binding) names() string {
	if len(b.f.Params) == 0 {
		return "it has no parameters"
	}
	all := make([]string, len(b.f.Params))
	for i, p := range b.f.Params {
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
	for i, p := range b.f.Params {
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
	at := len(b.f.Params)
	if k := b.f.Keywords; k != nil {
		if rest := L.Get(base + at + 1).AsTable(); at < given && rest != nil && k.Type.Kind != signature.Any {
			for name, v := range rest.All() {
				if err := c.part(v, k.Type, path{key: name}); err != nil {
					return err
				}
			}
		}
		at++
	}
	if b.f.Variadic == nil || b.f.Variadic.Type.Kind == signature.Any {
		return nil
	}
	for ; at < given; at++ {
		v := L.Get(base + at + 1)
		if v.IsNil() && b.f.Variadic.Optional {
			continue
		}
		if err := c.value(v, b.f.Variadic.Type, path{index: at + 1}); err != nil {
			return err
		}
	}
	return nil
}

// CheckValue checks the value of an attribute that is set.
func (b *Binding) CheckValue(r Binder, v lua.Value) error {
	if !b.f.Annotated || len(b.f.Params) == 0 || v.IsNil() && b.f.Params[0].Optional {
		return nil
	}
	c := checker{Binder: r, named: b.types}
	return c.value(v, b.f.Params[0].Type, path{name: "the value"})
}

// Floats makes floats of the results on the stack that are declared as numbers. Others are sent as integers if they
// have no fraction.
func (b *Binding) Floats(types *values.Types, L *lua.Thread) {
	for i := range min(len(b.floats), L.Top()) {
		if b.floats[i] {
			float(types, L, i+1)
		}
	}
}

// FloatItem makes a float of the item on the stack, if the items of the stream are declared as numbers.
func (b *Binding) FloatItem(types *values.Types, L *lua.Thread) {
	if items := b.f.Items(); items != nil && isNumber(items) {
		float(types, L, 1)
	}
}

// float makes a float of the number at position i of the stack.
func float(types *values.Types, L *lua.Thread, i int) {
	if f, ok := L.Get(i).AsNumber(); ok {
		L.Replace(i, lua.NewUserData(values.Float(f), types.Float))
	}
}
