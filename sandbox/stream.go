package sandbox

import (
	"context"

	"github.com/hearthhost/hearth/sandbox/arguments"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

// Stream is an item stream that a call has returned. It belongs to the goroutine of the state that made it.
type Stream struct {
	s  *State
	fn *lua.Function      // nil at the end
	b  *arguments.Binding // of the method that returned it, nil for a native function
}

// newStream implements hearth.stream(f).
func (s *State) newStream(L *lua.Thread) int {
	fn := L.CheckFunction(1)
	v := L.NewUserData(&values.Stream{Next: fn}, s.types.Stream, 0)
	v.AsUserData().Ref = fn.Value()
	L.Push(v)
	return 1
}

// Next runs the stream for its next item, with the budget of a call. ok is false at the end; then Result is empty.
// After the end, an exception or an error the stream returns no more items. Next uses the fields of r that concern the
// caller and the result.
func (st *Stream) Next(ctx context.Context, r *Request) (ok bool, out Outcome, err error) {
	s := st.s
	if s.broken != nil {
		return false, Outcome{Broken: true}, s.broken
	}
	if st.fn == nil {
		return false, Outcome{}, nil
	}
	defer s.recovered(&out, &err)
	s.enter(ctx, r)
	s.l.Push(st.fn.Value())
	ok, out, err = st.next(r)
	out, err = s.commit(out, err)
	s.leave(&out)
	if !ok || out.Exception || err != nil {
		st.fn = nil
	}
	return ok, out, err
}

func (st *Stream) next(r *Request) (bool, Outcome, error) {
	s := st.s
	raised, limit := s.run(0)
	if limit != nil {
		return false, Outcome{}, limit
	}
	if raised != nil {
		out, err := s.writeRaised(r, raised.Value)
		return true, out, err
	}
	if s.l.Get(1).IsNil() {
		return false, Outcome{}, nil
	}
	if st.b != nil {
		st.b.FloatItem(s.types, s.l)
	}
	s.enc.Start(r.Result, s.classes(), "item")
	if err := s.enc.Results(s.l); err != nil {
		out, err := s.writeFailure(r, err)
		return true, out, err
	}
	return true, Outcome{}, nil
}

// Close ends the stream early. It may be called twice.
func (st *Stream) Close() { st.fn = nil }
