package sandbox

import (
	"github.com/hearthhost/hearth/sandbox/heapsnap"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// snapshot decides whether the script must run again before the next instance. It is used in mode "call".
type snapshot struct {
	heap   *heapsnap.Snapshot // nil if the script must run again
	used   bool               // heap has made a run of the script unnecessary
	unused int                // consecutive snapshots that were not used
}

// A script that changes a variable in every call makes snapshots useless. After maxUnused unused ones in a row, only
// one run in retryEvery takes another.
const (
	maxUnused  = 4
	retryEvery = 64
)

// takeSnapshot records the values that a run of the script has left. It is called before the first call.
func (s *State) takeSnapshot() {
	if s.snapshot.used {
		s.snapshot.unused = 0
	} else {
		s.snapshot.unused++
	}
	s.snapshot.heap, s.snapshot.used = nil, false
	if n := s.snapshot.unused; n > maxUnused && n%retryEvery != 0 {
		return
	}
	roots := []lua.Value{s.def.Table.Value(), s.def.Meta.Value(), s.def.Init.Value(), s.def.Close.Value()}
	for _, m := range s.def.Members {
		roots = append(roots, m.Method.Value(), m.Get.Value(), m.Set.Value())
	}
	s.snapshot.heap = heapsnap.Take(s.vm, s.env, roots...)
}

// cleanSinceLoad reports whether the script's variables are certainly as its run left them.
func (s *State) cleanSinceLoad() bool {
	if !s.snapshot.heap.Unchanged(s.vm) {
		return false
	}
	s.snapshot.used = true
	return true
}
