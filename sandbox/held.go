package sandbox

import "github.com/hearthhost/hearth/object"

// Held returns the bytes that the state holds, by a walk through it. Call it between calls, as any method.
func (s *State) Held() int64 { return s.HeldBytes(1 << 62) }

// Break makes the state unusable without running its script: Close does not call the instance's close then.
func (s *State) Break(why *object.Error) {
	if s.broken == nil {
		s.broken = why
	}
}
