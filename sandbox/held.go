package sandbox

import (
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/budget"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// Usage reports the memory of a running state to another goroutine. The zero value is ready to use.
type Usage = budget.Usage

// Held returns the bytes that the state holds, by a walk through it. Call it between calls, as any method.
func (s *State) Held() int64 { return s.HeldBytes(1 << 62) }

// HeldBytes returns the bytes of the values that the state holds, counted up to a little more than most. It
// takes time in proportion, some 20 ns a value. Like all methods it belongs to the goroutine of the state.
func (s *State) HeldBytes(most int64) int64 {
	if s.vm == nil {
		return 0
	}
	roots := make([]lua.Value, 0, 8)
	roots = append(roots, s.env.Value(), s.self.Value())
	if s.def != nil {
		roots = append(roots, s.def.Table.Value(), s.def.Meta.Value())
	}
	roots = s.definitions.AppendRoots(roots)
	roots = s.build.AppendRoots(roots)
	roots = s.batched.roots(roots)
	return s.vm.Held(most, roots...)
}

// Break makes the state unusable without running its script: Close does not call the instance's close then.
func (s *State) Break(why *object.Error) {
	if s.broken == nil {
		s.broken = why
	}
}
