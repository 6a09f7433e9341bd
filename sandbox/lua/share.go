package lua

import (
	"fmt"
	"sync"
)

// sharing is the relation of a table to the tables of other VMs.
type sharing uint8

const (
	ownTable    sharing = iota // one VM has the table
	viewTable                  // one VM has the table, but its hash belongs to a shared one: the first write copies it
	sharedTable                // any number of VMs have the table: it is immutable
)

// Share makes a table and all values in it immutable, so that any number of VMs, and so of goroutines, may use them at
// once. A later write to the table panics. It also panics if a value cannot be shared: a Lua function, a coroutine, a
// native function with a state, or a table with elements in its array. Scripts must not reach the table itself, only
// views of it. [VM.Held] does not count shared values.
func Share(t *Table) {
	if t == nil || t.sharing == sharedTable {
		return
	}
	if t.sharing != ownTable || len(t.array) > 0 {
		panic("lua: the table cannot be shared: it is a view, or has an array")
	}
	t.sharing = sharedTable
	for i := range t.entries {
		ShareValue(t.entries[i].key)
		ShareValue(t.entries[i].value)
	}
	// Reads must not write: no later read finds that a metamethod is absent.
	t.absent = clean
	for bit, name := range map[uint8]*text{
		absentIndex: indexName, absentNewIndex: newIndexName, absentEq: eqName,
	} {
		if t.getText(name).IsNil() {
			t.absent |= bit
		}
	}
	Share(t.Meta)
}

// ShareValue is Share for any value.
func ShareValue(v Value) {
	switch v.Kind() {
	case StringKind:
		v.text().hashed()
		v.text().shared = true
	case TableKind:
		Share(v.AsTable())
	case FunctionKind:
		f := v.AsFunction()
		if f.native == nil || f.state != nil {
			panic("lua: the function cannot be shared: it has a state")
		}
		f.shared = true
	case UserDataKind:
		u := v.AsUserData()
		u.shared = true
		ShareValue(u.Ref)
		Share(u.Meta)
	case ThreadKind:
		panic(fmt.Sprintf("lua: a %s cannot be shared", v.Kind()))
	}
}

// Shared reports whether the table is immutable, because several VMs have it.
func (t *Table) Shared() bool { return t.sharing == sharedTable }

// View returns a new table with the elements of a shared table. It refers to them until the first write, which copies
// them: no write to a view changes another table.
func (t *Table) View() *Table {
	if t.sharing != sharedTable {
		panic("lua: a view of a table that is not shared")
	}
	return &Table{kind: TableKind, sharing: viewTable, Meta: t.Meta, entries: t.entries, heads: t.heads, dead: t.dead}
}

// copyHash copies the hash of a table that shares it. It must be called before each write to the hash.
func (t *Table) copyHash() {
	if t.sharing == sharedTable {
		panic("lua: a write to a shared table")
	}
	t.sharing = ownTable
	t.entries, t.heads = clonedHash(t.entries, t.heads)
}

// clonedHash returns a copy of a hash, with the same room.
func clonedHash(entries []entry, heads []int32) ([]entry, []int32) {
	if entries == nil {
		return nil, nil
	}
	return append(make([]entry, 0, cap(entries)), entries...), append([]int32(nil), heads...)
}

// firstStack is the size of a new stack in slots.
const firstStack = window + 64

// stacks has stacks of firstStack slots, all nil, of VMs that do not run.
var stacks = sync.Pool{New: func() any { return new([firstStack]Value) }}

// restFrames is the number of frames that a VM keeps while it rests.
const restFrames = 4

// Rest is [VM.Clear] for a VM that may not run for a long time. It also frees the stack, and the frames of calls that
// were nested deeply. Clear makes the VM ready to run again.
func (vm *VM) Rest() {
	L := vm.Main
	vm.ran = true // so that Clear clears all slots: the next VM that has the stack must find nothing
	vm.Clear()
	if len(L.stack) == firstStack {
		stacks.Put((*[firstStack]Value)(L.stack))
	}
	L.stack = nil
	ci := L.ci
	for n := 0; ci.next != nil; n++ {
		if n == restFrames {
			ci.next = nil
			L.frames = restFrames
			break
		}
		ci = ci.next
	}
}
