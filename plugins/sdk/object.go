package sdk

import (
	"context"
	"fmt"
	"io"
	"reflect"

	"github.com/hearthhost/hearth/object"
)

// Mode says how many instances of an object there are.
type Mode = object.InstanceMode

// The modes.
const (
	Single  = object.Single  // one, calls one at a time
	Session = object.Session // one a connection, calls one at a time
	PerCall = object.PerCall // a fresh one each call, in parallel
)

// Object is what callers reach. Make one with [New], register what it exposes, then
// [Serve] it; nothing is exposed that was not registered.
type Object struct {
	name    string
	doc     string
	mode    Mode
	make    func() any
	typ     reflect.Type
	members map[string]*member
}

// member is one exposed method or attribute.
type member struct {
	doc              string
	oneway           bool
	method, get, set *function
}

// New returns an object whose instances fresh makes. If they are io.Closers, they are
// closed when they are of no more use.
func New[T any](mode Mode, doc string, fresh func() T) *Object {
	return &Object{doc: doc, mode: mode, make: func() any { return fresh() }, typ: reflect.TypeFor[T](),
		members: map[string]*member{}}
}

// Named makes o the object <plugin>.<name> instead of the plugin's own id. The policy has
// to list the name. It returns o.
func (o *Object) Named(name string) *Object {
	if !object.ValidName(name) {
		panic(fmt.Sprintf("sdk: %q is not an object's name", name))
	}
	o.name = name
	return o
}

// Method exposes fn, a method expression like (*Table).Put, under a name. Its parameters
// are, in order: the instance; a context.Context, if it wants one; the arguments; and for
// keyword arguments a last [Kwargs]. It returns a value or none, or an iter.Seq2[T, error]
// for an item stream, and then an error, if it can fail. It panics if fn is none of that.
func (o *Object) Method(name string, fn any, doc string) *Object {
	o.member(name, doc).method = o.function(name, fn)
	return o
}

// Oneway is Method for one whose callers do not wait.
func (o *Object) Oneway(name string, fn any, doc string) *Object {
	m := o.member(name, doc)
	m.method, m.oneway = o.function(name, fn), true
	return o
}

// Attribute exposes proxy.name: get returns it, set takes it. Either may be nil.
func (o *Object) Attribute(name string, get, set any, doc string) *Object {
	m := o.member(name, doc)
	if get != nil {
		m.get = o.function(name, get)
	}
	if set != nil {
		m.set = o.function(name, set)
	}
	return o
}

func (o *Object) member(name, doc string) *member {
	if !object.Method(name).Callable() {
		panic(fmt.Sprintf("sdk: %q can never be called: a letter, then letters, digits and '_'", name))
	}
	if o.members[name] != nil {
		panic(fmt.Sprintf("sdk: %q is registered twice", name))
	}
	m := &member{doc: doc}
	o.members[name] = m
	return m
}

// function is what is known of a registered function's parameters and results.
type function struct {
	v        reflect.Value
	args     []reflect.Type // after the instance and the context
	variadic bool
	ctx      bool
	kwargs   bool
	result   bool // it returns a value before the error
	fails    bool
	stream   bool
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
	kwargsType  = reflect.TypeFor[Kwargs]()
)

func (o *Object) function(name string, fn any) *function {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func || v.Type().NumIn() == 0 || !o.typ.AssignableTo(v.Type().In(0)) {
		panic(fmt.Sprintf("sdk: %s: want a method expression of %v, like (*Table).Put", name, o.typ))
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
		panic(fmt.Sprintf("sdk: %s: want one result and an error at most; return a sdk.Tuple for more", name))
	}
	f.result = out == 1
	f.stream = f.result && isSeq2(t.Out(0))
	return f
}

// isSeq2 reports whether t is an iter.Seq2[T, error].
func isSeq2(t reflect.Type) bool {
	return t.Kind() == reflect.Func && t.NumIn() == 1 && t.NumOut() == 0 && t.In(0).Kind() == reflect.Func &&
		t.In(0).NumIn() == 2 && t.In(0).NumOut() == 1 && t.In(0).Out(0).Kind() == reflect.Bool &&
		t.In(0).In(1) == errorType
}

// call runs the function. What it returns is a value or a sequence.
func (f *function) call(ctx context.Context, instance any, args []any, kwargs Kwargs) (any, error) {
	in := []reflect.Value{reflect.ValueOf(instance)}
	if f.ctx {
		in = append(in, reflect.ValueOf(ctx))
	}
	fixed := len(f.args)
	if f.variadic {
		fixed--
	}
	if len(args) < fixed || !f.variadic && len(args) > fixed {
		return nil, Raise("TypeError", fmt.Sprintf("want %d arguments, not %d", fixed, len(args)))
	}
	if len(kwargs) > 0 && !f.kwargs {
		return nil, Raise("TypeError", "there are no keyword arguments here")
	}
	for i, a := range args {
		t := f.args[min(i, len(f.args)-1)]
		if f.variadic && i >= fixed {
			t = t.Elem()
		}
		v, err := convert(a, t)
		if err != nil {
			return nil, Raise("TypeError", fmt.Sprintf("argument %d: %s", i+1, err))
		}
		in = append(in, v)
	}
	if f.kwargs {
		in = append(in, reflect.ValueOf(kwargs))
	}
	out := f.v.Call(in)
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

// sequence is an item stream's source.
type sequence reflect.Value

// all drives the sequence, whatever type its items are of.
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
