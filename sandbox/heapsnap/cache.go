package heapsnap

import "github.com/hearthhost/hearth/sandbox/lua"

// Cache decides whether a script must run again before the next instance of its object. The zero value requires it.
type Cache struct {
	heap   *Snapshot // nil if the script must run again
	used   bool      // heap has made a run of the script unnecessary
	unused int       // consecutive snapshots that were not used
}

// A script that changes a variable in every call makes snapshots useless. After maxUnused unused ones in a row, only
// one run in retryEvery takes another.
const (
	maxUnused  = 4
	retryEvery = 64
)

// Take records the values that a run of the script has left: those reachable from env and from roots. It is called
// before the first call of an instance. After many unused snapshots it records only some.
func (c *Cache) Take(vm *lua.VM, env *lua.Table, roots ...lua.Value) {
	if c.used {
		c.unused = 0
	} else {
		c.unused++
	}
	c.heap, c.used = nil, false
	if n := c.unused; n > maxUnused && n%retryEvery != 0 {
		return
	}
	c.heap = Take(vm, env, roots...)
}

// Unchanged reports whether the script's variables are certainly as its run left them.
func (c *Cache) Unchanged(vm *lua.VM) bool {
	if !c.heap.Unchanged(vm) {
		return false
	}
	c.used = true
	return true
}
