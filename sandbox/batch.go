package sandbox

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// batch runs several methods in order and writes the list of their results. The first
// exception ends it: it stands last, in a wrapper, and the rest is not run. Results are
// written when the last one is there, so a table that is returned and changed later in
// the batch shows its last content, as at Python's.
//
// Source: doc/wire.md "Batches".
func (s *State) batch(r *Request) (Outcome, error) {
	fns := make([]*lua.LFunction, len(r.Batch))
	for i, name := range r.Batch {
		if fns[i] = s.lookup(object.Batch, name); fns[i] == nil {
			return Outcome{}, errNoMember
		}
	}
	calls, err := s.batchCalls(r)
	if err != nil {
		return Outcome{}, err
	}
	results := make([]lua.LValue, 0, len(fns))
	var end *batchEnd
	for i, fn := range fns {
		s.l.SetTop(0)
		s.l.Push(s.outer)
		s.l.Push(fn)
		s.l.Push(s.self)
		if err := s.pushTriple(calls.RawGetInt(i + 1)); err != nil {
			return Outcome{}, err
		}
		raised, limit := s.run(s.l.GetTop() - 2)
		if limit != nil {
			return Outcome{}, limit
		}
		if raised != nil {
			end = &batchEnd{}
			end.class, end.args = s.raisedParts(raised)
			break
		}
		v := s.stackValue()
		if end = s.checkResult(r, v); end != nil {
			break
		}
		results = append(results, v)
	}
	s.l.SetTop(0)
	return s.writeBatch(r, results, end)
}

// batchEnd is the exception that ends a batch.
type batchEnd struct {
	class string
	args  []lua.LValue
}

// batchCalls reads the list of triples.
func (s *State) batchCalls(r *Request) (*lua.LTable, error) {
	s.build.begin(false)
	if err := r.Args(&s.build); err != nil {
		return nil, err
	}
	var calls *lua.LTable
	if len(s.build.values) == 2 {
		calls, _ = s.build.values[0].(*lua.LTable)
	}
	if calls == nil || s.mark(calls) != "list" && s.mark(calls) != "tuple" || calls.Len() != len(r.Batch) {
		return nil, invalid("TypeError", "a batch takes a list of calls")
	}
	return calls, nil
}

// pushTriple pushes the arguments of one call of a batch.
func (s *State) pushTriple(v lua.LValue) error {
	wrong := invalid("TypeError", "a call in a batch is its method, a list of arguments and a dict of keyword arguments")
	triple, ok := v.(*lua.LTable)
	if !ok || s.mark(triple) != "list" && s.mark(triple) != "tuple" || triple.Len() != 3 {
		return wrong
	}
	args, ok := triple.RawGetInt(2).(*lua.LTable)
	if !ok || s.mark(args) != "list" && s.mark(args) != "tuple" {
		return wrong
	}
	n := args.Len()
	if n > maxArguments {
		return object.Errorf(object.CodeTooLarge, "more than %d arguments", maxArguments)
	}
	for i := 1; i <= n; i++ {
		v := args.RawGetInt(i)
		if v == s.null {
			v = lua.LNil
		}
		s.l.Push(v)
	}
	switch kwargs := triple.RawGetInt(3).(type) {
	case *lua.LUserData:
		if kwargs != s.null {
			return wrong
		}
	case *lua.LTable:
		if s.mark(kwargs) != "dict" {
			return wrong
		}
		empty := true
		for k, _ := kwargs.Next(lua.LNil); k != lua.LNil; k, _ = kwargs.Next(k) {
			if empty = false; k.Type() != lua.LTString {
				return wrong
			}
		}
		if !empty {
			kwargs.Metatable = lua.LNil
			s.l.Push(kwargs)
		}
	default:
		return wrong
	}
	return nil
}

// stackValue makes one value of what a function returned.
func (s *State) stackValue() lua.LValue {
	n := s.l.GetTop()
	switch n {
	case 0:
		return lua.LNil
	case 1:
		return s.l.Get(1)
	}
	t := s.l.CreateTable(n, 0)
	for i := 1; i <= n; i++ {
		t.RawSetInt(i, s.l.Get(i))
	}
	for i := n; i >= 1 && s.l.Get(i) == lua.LNil; i-- {
		t.RawSetInt(i, s.null) // or the tuple would be shorter
	}
	t.Metatable = s.mt.tuple
	return t
}

// checkResult finds out whether a result can be sent before the next call is run.
func (s *State) checkResult(r *Request, v lua.LValue) *batchEnd {
	s.enc.begin(discard{}, r.Protocol, "result")
	err := s.enc.value(v)
	if err == nil {
		return nil
	}
	class, msg, _ := s.failure(err)
	if qualified, ok := s.className(class); ok {
		class = qualified
	}
	return &batchEnd{class: class, args: []lua.LValue{lua.LString(msg)}}
}

// writeBatch writes the results and the exception. A result that the serializer refuses
// ends the list in the same way.
func (s *State) writeBatch(r *Request, results []lua.LValue, end *batchEnd) (Outcome, error) {
	for last := false; ; {
		failed, err := s.tryBatch(r, results, end)
		if err == nil {
			return Outcome{}, nil
		}
		class, msg, ok := s.failure(err)
		if !ok || last || r.ResetResult == nil || failed == len(results) && end == nil {
			return Outcome{}, err
		}
		r.ResetResult()
		if qualified, ok := s.className(class); ok {
			class = qualified
		}
		if failed == len(results) { // the exception itself
			class, _ = s.className("RuntimeError")
			end, last = &batchEnd{class: class, args: s.unsendable(msg, end.class, end.args)}, true
			continue
		}
		results, end = results[:failed], &batchEnd{class: class, args: []lua.LValue{lua.LString(msg)}}
	}
}

// tryBatch writes the list and returns the position of what could not be written.
func (s *State) tryBatch(r *Request, results []lua.LValue, end *batchEnd) (int, error) {
	n := len(results)
	if end != nil {
		n++
	}
	if err := r.Result.Begin(object.ListKind, n); err != nil {
		return 0, err
	}
	for i, v := range results {
		s.enc.begin(r.Result, r.Protocol, "result")
		if err := s.enc.value(v); err != nil {
			return i, err
		}
	}
	if end != nil {
		w := sinkWriter{to: r.Result}
		w.begin(object.DictKind, 2)
		w.text(classKey)
		w.text(r.BatchWrapperClass)
		w.text("exception")
		w.do(func() error { return s.encodeException(r, r.Result, end.class, end.args) })
		w.end()
		if w.err != nil {
			return len(results), w.err
		}
	}
	return len(results), r.Result.End()
}

// discard is a sink that takes everything.
type discard struct{}

var _ object.Sink = discard{}

func (discard) Null() error                  { return nil }
func (discard) Bool(bool) error              { return nil }
func (discard) Int(int64) error              { return nil }
func (discard) BigInt([]byte) error          { return nil }
func (discard) Float(float64) error          { return nil }
func (discard) Complex(complex128) error     { return nil }
func (discard) Text([]byte) error            { return nil }
func (discard) Bytes([]byte) error           { return nil }
func (discard) DateTime(float64) error       { return nil }
func (discard) Date(int64) error             { return nil }
func (discard) Begin(object.Kind, int) error { return nil }
func (discard) End() error                   { return nil }
