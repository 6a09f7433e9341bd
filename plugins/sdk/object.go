package sdk

import (
	"context"
	"fmt"
	"io"
	"reflect"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/signature"
)

// Mode is the instance mode of an object.
type Mode = object.InstanceMode

// Instance modes.
const (
	Single  = object.Single  // one instance, calls one at a time
	Session = object.Session // one instance per connection, calls one at a time
	PerCall = object.PerCall // one instance per call, calls in parallel
)

// Object is an object that clients call. Create it with [New], register its members, then [Serve] it. Only registered
// members are exposed.
type Object struct {
	name    string
	doc     string
	mode    Mode
	make    func() any
	typ     reflect.Type
	members map[string]*member
	types   *typeTable // of the signatures
}

// member is an exposed method or attribute.
type member struct {
	doc              string
	oneway           bool
	method, get, set *function
}

// New returns an object; fresh creates its instances. An instance that is an io.Closer is closed after its last use.
func New[T any](mode Mode, doc string, fresh func() T) *Object {
	return &Object{
		doc:     doc,
		mode:    mode,
		make:    func() any { return fresh() },
		typ:     reflect.TypeFor[T](),
		members: map[string]*member{},
		types:   newTypeTable(),
	}
}

// Named gives o the id <plugin>.<name> instead of the id of the plugin. The policy must list the name. It returns o.
func (o *Object) Named(name string) *Object {
	if !object.ValidName(name) {
		panic(fmt.Sprintf("sdk: %q is not an object's name", name))
	}
	o.name = name
	return o
}

// Method exposes fn, a method expression such as (*Table).Put, under a name. The parameters of fn are, in this order:
// the instance; optionally a context.Context; the arguments; optionally a [Kwargs] for other keyword arguments. Its
// results are at most one value and at most one error, in this order. An iter.Seq2[T, error] is an item stream. Method
// panics if fn has another form.
//
// params are the names of the arguments, by which clients can pass them: "key", "note?" for one that may be missing and
// is then the zero value, "key the key to write" with a description. Without names they are arg1, arg2 and so on. A
// pointer may always be missing. If the only argument is a struct and has no name, its fields are the parameters. Their
// tag json has the name, and omitempty if they may be missing; their tag doc has a description.
func (o *Object) Method(name string, fn any, doc string, params ...string) *Object {
	o.member(name, doc).method = o.function(name, fn, params)
	return o
}

// Oneway is [Object.Method] for a method without a reply.
func (o *Object) Oneway(name string, fn any, doc string, params ...string) *Object {
	m := o.member(name, doc)
	m.method, m.oneway = o.function(name, fn, params), true
	return o
}

// Attribute exposes the attribute name. get returns its value, set receives a new value. Either may be nil.
func (o *Object) Attribute(name string, get, set any, doc string) *Object {
	m := o.member(name, doc)
	if get != nil {
		m.get = o.function(name, get, nil)
	}
	if set != nil {
		m.set = o.function(name, set, []string{"value"})
		if len(m.set.sig.Params) != 1 {
			panic(fmt.Sprintf("sdk: %s: the function that sets the attribute must have one argument", name))
		}
		m.set.sig.Params[0].Name = settersParam
	}
	return o
}

func (o *Object) member(name, doc string) *member {
	if !object.Method(name).Callable() {
		panic(fmt.Sprintf("sdk: %q is not callable: a name is a letter followed by letters, digits and '_'", name))
	}
	if o.members[name] != nil {
		panic(fmt.Sprintf("sdk: %q is registered twice", name))
	}
	m := &member{doc: doc}
	o.members[name] = m
	return m
}

// function is a registered function with the types of its parameters and results.
type function struct {
	v        reflect.Value
	args     []reflect.Type // after the instance and the context
	variadic bool
	ctx      bool
	kwargs   bool
	result   bool // has a value before the error
	fails    bool
	stream   bool
	sig      *signature.Function
	expand   bool    // the parameters are the fields of the only argument
	fields   []field // of the only argument, if expand is set
}

// settersParam is the name of the new value of an attribute in messages.
const settersParam = "the value"

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
	kwargsType  = reflect.TypeFor[Kwargs]()
)

func (o *Object) function(name string, fn any, params []string) *function {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func || v.Type().NumIn() == 0 || !o.typ.AssignableTo(v.Type().In(0)) {
		panic(fmt.Sprintf("sdk: %s: the function must be a method expression of %v, like (*Table).Put", name, o.typ))
	}
	t := v.Type()
	f := &function{v: v, variadic: t.IsVariadic()}
	in := 1
	if in < t.NumIn() && t.In(in) == contextType {
		f.ctx = true
		in++
	}
	for ; in < t.NumIn(); in++ {
		if t.In(in) == kwargsType && in == t.NumIn()-1 {
			f.kwargs = true
			break
		}
		f.args = append(f.args, t.In(in))
	}
	out := t.NumOut()
	if out > 0 && t.Out(out-1) == errorType {
		f.fails = true
		out--
	}
	if out > 1 {
		panic(fmt.Sprintf("sdk: %s: at most one result and one error are possible; return a sdk.Tuple for more", name))
	}
	f.result = out == 1
	f.stream = f.result && isSeq2(t.Out(0))
	f.describe(o.types, name, params)
	return f
}

// isSeq2 reports whether t is an iter.Seq2[T, error].
func isSeq2(t reflect.Type) bool {
	return t.Kind() == reflect.Func && t.NumIn() == 1 && t.NumOut() == 0 && t.In(0).Kind() == reflect.Func &&
		t.In(0).NumIn() == 2 && t.In(0).NumOut() == 1 && t.In(0).Out(0).Kind() == reflect.Bool &&
		t.In(0).In(1) == errorType
}

// call runs the function. The result is a value or a sequence.
func (f *function) call(ctx context.Context, instance any, args []any, kwargs Kwargs) (any, error) {
	in := []reflect.Value{reflect.ValueOf(instance)}
	if f.ctx {
		in = append(in, reflect.ValueOf(ctx))
	}
	bound, err := f.bind(args, kwargs)
	if err != nil {
		return nil, err
	}
	out := f.v.Call(append(in, bound...))
	if f.fails {
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			return nil, err
		}
	}
	if !f.result {
		return nil, nil
	}
	if f.stream {
		return sequence(out[0]), nil
	}
	return out[0].Interface(), nil
}

// sequence is the source of an item stream.
type sequence reflect.Value

// all runs the sequence, for any type of items.
func (s sequence) all(yield func(any, error) bool) {
	seq := reflect.Value(s)
	if seq.IsNil() {
		return
	}
	body := reflect.MakeFunc(seq.Type().In(0), func(in []reflect.Value) []reflect.Value {
		err, _ := in[1].Interface().(error)
		return []reflect.Value{reflect.ValueOf(yield(in[0].Interface(), err))}
	})
	seq.Call([]reflect.Value{body})
}

func closeInstance(v any) {
	if c, ok := v.(io.Closer); ok {
		_ = c.Close()
	}
}
