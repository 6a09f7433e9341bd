package sandbox

import (
	"errors"
	"fmt"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/arguments"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/exception"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// batch runs several methods in order and writes the list of their results. The first exception ends the batch: it is
// the last element, in a wrapper, and the other methods are not run. Results are written after the last method, so a
// table that is returned and changed later in the batch has its last content, as in Python.
//
// Source: doc/wire.md "Batches".
func (s *State) batch(r *Request) (Outcome, error) {
	fns := make([]*lua.Function, len(r.Batch))
	for i, name := range r.Batch {
		fns[i] = s.lookup(object.Batch, name)
		if fns[i] == nil {
			return Outcome{}, errNoMember
		}
	}
	if err := s.build.Read(convert.ForBatch, r.OwnedBuf, r.Args); err != nil {
		return Outcome{}, err
	}
	// Calls to other objects during the batch use the builder, too.
	args, calls := s.build.TakeBatch()
	if len(calls) != len(fns) {
		return Outcome{}, convert.Invalid(object.ReasonType, "a batch takes a list of calls")
	}
	s.batchValues = batchValues{args: args, calls: calls, results: make([]lua.Value, 0, len(fns))}
	defer func() { s.batchValues = batchValues{} }()
	var end *batchEnd
	for i, fn := range fns {
		s.vm.Clear()
		s.l.Push(fn.Value())
		s.l.Push(s.self.Value())
		from := 0
		if i > 0 {
			from = calls[i-1].End
		}
		for _, v := range args[from:calls[i].End] {
			s.l.Push(v)
		}
		b := s.p.binding(fn)
		if err := s.bind(b, calls[i].Keywords); err != nil {
			m, ok := errors.AsType[arguments.Mismatch](err)
			if !ok {
				return Outcome{}, err
			}
			class, _ := s.exceptions.Name("TypeError")
			end = newBatchEnd(class, lua.String(string(r.Batch[i])+": "+string(m)))
			break
		}
		mark := s.durable.Mark()
		raised, limit := s.run(s.l.Top() - 1)
		if limit != nil {
			return Outcome{}, limit
		}
		if raised != nil {
			s.durable.Rollback(mark)
			end = &batchEnd{Raised: s.exceptions.Parts(raised.Value)}
			break
		}
		if b != nil {
			b.Floats(s.types, s.l)
		}
		v := s.stackValue()
		var err error
		end, err = s.checkResult(r, v)
		if err != nil {
			return Outcome{}, err
		}
		if end != nil {
			s.durable.Rollback(mark)
			break
		}
		s.batchValues.results = append(s.batchValues.results, v)
	}
	s.vm.Clear()
	return s.writeBatch(r, s.batchValues.results, end)
}

// batchValues holds the values of a running batch that are not on the stack.
type batchValues struct {
	args    []lua.Value
	calls   []convert.BatchCall
	results []lua.Value
}

// roots appends the values to a list.
func (b *batchValues) roots(list []lua.Value) []lua.Value {
	list = append(list, b.args...)
	for i := range b.calls {
		list = append(list, b.calls[i].Keywords.Value())
	}
	return append(list, b.results...)
}

// batchEnd is the exception that ends a batch.
type batchEnd struct{ exception.Raised }

// newBatchEnd returns the end of a batch by an exception of a class, which is qualified.
func newBatchEnd(class string, args ...lua.Value) *batchEnd {
	return &batchEnd{exception.Raised{Class: class, Args: args}}
}

// stackValue returns the results of a function as one value.
func (s *State) stackValue() lua.Value {
	n := s.l.Top()
	switch n {
	case 0:
		return lua.Nil
	case 1:
		return s.l.Get(1)
	}
	t := s.l.NewTable(n, 0)
	for i := 1; i <= n; i++ {
		t.SetInt(i, s.l.Get(i))
	}
	for i := n; i >= 1 && s.l.Get(i).IsNil(); i-- {
		t.SetInt(i, s.types.Null) // nil would shorten the tuple
	}
	t.SetMeta(s.types.Tuple)
	return t.Value()
}

// checkResult checks that a result can be sent, before the next method runs. It returns an error for a limit.
func (s *State) checkResult(r *Request, v lua.Value) (*batchEnd, error) {
	s.enc.Start(object.Discard{}, s.classes(), "result")
	err := s.enc.Value(v)
	if err == nil {
		return nil, nil
	}
	class, msg, ok := s.enc.Failure(err)
	if !ok {
		return nil, err
	}
	if qualified, ok := s.exceptions.Name(class); ok {
		class = qualified
	}
	return newBatchEnd(class, lua.String(msg)), nil
}

// writeBatch writes the results and the exception. A result that the serializer rejects becomes the exception.
func (s *State) writeBatch(r *Request, results []lua.Value, end *batchEnd) (Outcome, error) {
	for last := false; ; {
		failed, err := s.tryBatch(r, results, end)
		if err == nil {
			return Outcome{Raised: s.describeEnd(r, len(results), end)}, nil
		}
		class, msg, ok := s.enc.Failure(err)
		if !ok || last || r.ResetResult == nil || failed == len(results) && end == nil {
			return Outcome{}, err
		}
		r.ResetResult()
		if qualified, ok := s.exceptions.Name(class); ok {
			class = qualified
		}
		if failed == len(results) { // the exception cannot be sent
			class, _ = s.exceptions.Name("RuntimeError")
			end, last = newBatchEnd(class, s.exceptions.Unsendable(msg, end.Class, end.Args)...), true
			continue
		}
		results, end = results[:failed], newBatchEnd(class, lua.String(msg))
	}
}

// describeEnd returns the number of the call that failed and the reason, or "".
func (s *State) describeEnd(r *Request, at int, end *batchEnd) string {
	if end == nil {
		return ""
	}
	text := s.exceptions.Describe(end.Class, end.Args, s.errorPos)
	return fmt.Sprintf("call %d of %d, %s: %s", at+1, len(r.Batch), r.Batch[at], text)
}

// tryBatch writes the list. After an error it returns the position of the value that could not be written.
func (s *State) tryBatch(r *Request, results []lua.Value, end *batchEnd) (int, error) {
	n := len(results)
	if end != nil {
		n++
	}
	if err := r.Result.Begin(object.ListKind, n); err != nil {
		return 0, err
	}
	for i, v := range results {
		// Each result gets the full number of values, as in a call of its method alone.
		s.enc.Start(r.Result, s.classes(), "result")
		if err := s.enc.Value(v); err != nil {
			return i, err
		}
	}
	if end != nil {
		w := convert.SinkWriter{To: r.Result}
		w.Begin(object.DictKind, 2)
		w.Text(convert.ClassKey)
		w.Text(s.classes().BatchWrapper())
		w.Text("exception")
		w.Do(func() error { return s.encodeException(r, r.Result, end.Raised) })
		w.End()
		if w.Err != nil {
			return len(results), w.Err
		}
	}
	return len(results), r.Result.End()
}
