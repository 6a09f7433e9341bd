package sandbox

import "github.com/hearthhost/hearth/object"

// Held returns about how many bytes the state holds, by walking through it. Call it between calls, as any method.
func (s *State) Held() int64 {
	if s.l == nil {
		return 0
	}
	if s.fixed == nil {
		s.fixed = s.fixedParts()
	}
	const all = 1 << 62
	w := walker{seen: map[any]struct{}{}, fixed: s.fixed, most: all}
	w.value(s.env)
	if s.self != nil {
		w.value(s.self)
	}
	for _, v := range s.loaded {
		w.value(v)
	}
	if s.def != nil {
		w.value(s.def.table)
		w.value(s.def.proto)
	}
	w.stack(s.l)
	return int64(w.sum) //nolint:gosec // memory has fewer bytes
}

// Break makes the state unusable without running its script: Close does not call the instance's close then.
func (s *State) Break(why *object.Error) {
	if s.broken == nil {
		s.broken = why
	}
}
