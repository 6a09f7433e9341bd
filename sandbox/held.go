package sandbox

import (
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/budget"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// Usage reports the memory of a running state to another goroutine. The zero value is ready to use.
type Usage = budget.Usage

// Held returns the bytes of all values in the state. It must not be called during a call.
func (s *State) Held() int64 { return s.HeldBytes(1 << 62) }

// HeldBytes returns the bytes of all values in the state. It stops counting above most. It takes about 20 ns per value.
// Like all methods, it must be called from the goroutine of the state.
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
	roots = s.batchValues.roots(roots)
	return s.vm.Held(most, roots...)
}

// Break makes the state unusable without running its script: Close then does not call the instance's close.
func (s *State) Break(why *object.Error) {
	if s.broken == nil {
		s.broken = why
	}
}
