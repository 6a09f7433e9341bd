package lua

import (
	"fmt"
	"math"
	"unsafe"
)

// Top returns the number of arguments of the running native function, and of the values it pushed.
func (L *Thread) Top() int { return L.top - L.ci.base }

// SetTop drops values or adds nils so that there are n.
func (L *Thread) SetTop(n int) {
	top := L.ci.base + n
	L.reserve(top)
	if top > L.top {
		clear(L.stack[L.top:top])
	}
	L.top = top
}

// Get returns argument i, counted from 1, or from the end if i is negative. It returns nil outside the arguments.
func (L *Thread) Get(i int) Value {
	at := L.ci.base + i - 1
	if i < 0 {
		at = L.top + i
	}
	if at < L.ci.base || at >= L.top {
		return Nil
	}
	return L.stack[at]
}

// Replace replaces argument i, counted from 1.
func (L *Thread) Replace(i int, v Value) {
	if at := L.ci.base + i - 1; at < L.top {
		L.stack[at] = v
	}
}

// Push pushes a value.
func (L *Thread) Push(v Value) {
	if L.top+window > len(L.stack) {
		L.reserve(L.top + 1)
	}
	L.stack[L.top] = v
	L.top++
}

// Pop drops the top n values.
func (L *Thread) Pop(n int) { L.top -= n }

// Insert puts a value before argument i.
func (L *Thread) Insert(v Value, i int) {
	L.Push(Nil)
	at := L.ci.base + i - 1
	copy(L.stack[at+1:L.top], L.stack[at:L.top-1])
	L.stack[at] = v
}

// Reserve makes sure that n values can be pushed, within the bounds of the VM.
func (L *Thread) Reserve(n int) { L.reserve(L.top + n) }

// PushString pushes a new string, which is charged for and counted.
func (L *Thread) PushString(s string) int {
	L.AllocateString(len(s))
	L.Push(String(s))
	return 1
}

// PushShared pushes a string that shares its bytes with another value. The bytes are counted, but not copied.
func (L *Thread) PushShared(s string) int {
	L.vm.Allocated += int64(textSize + len(s))
	L.vm.charge(allocationSteps)
	L.Push(String(s))
	return 1
}

// AllocateString calls Allocate for a string of n bytes.
func (L *Thread) AllocateString(n int) { L.Allocate(textSize + n) }

// Builder makes a string piece by piece. Its bytes are charged for, and counted as in use, before they are allocated.
type Builder struct {
	L *Thread
	B []byte // the bytes so far; a caller that appends must call Room first
}

// NewBuilder returns a builder with room for n bytes.
func (L *Thread) NewBuilder(n int) Builder {
	t := Builder{L: L}
	if n > 0 {
		t.Room(n)
	}
	return t
}

// Room makes room for n more bytes.
func (t *Builder) Room(n int) {
	if len(t.B)+n > cap(t.B) {
		t.grow(n)
	}
}

func (t *Builder) grow(n int) {
	need := len(t.B) + n
	if need > MaxString {
		t.L.RaiseError("resulting string too large")
	}
	size := 2 * cap(t.B)
	if cap(t.B) > 1<<20 {
		size = cap(t.B) + cap(t.B)>>2
	}
	size = min(max(need, size), MaxString)
	t.L.Buffer(size)
	t.L.vm.buffers -= int64(cap(t.B))
	t.B = append(make([]byte, 0, size), t.B...)
}

// Add appends a text.
func (t *Builder) Add(s string) {
	t.Room(len(s))
	t.L.ChargeBytes(len(s))
	t.B = append(t.B, s...)
}

// AddByte appends a byte.
func (t *Builder) AddByte(c byte) {
	t.Room(1)
	t.B = append(t.B, c)
}

// Push pushes the string. The builder cannot be used again.
func (t *Builder) Push() int {
	t.L.Push(t.L.ownedString(t.B))
	return 1
}

// ownedString makes a string of bytes that have no other reference. The caller has charged for them.
func (L *Thread) ownedString(b []byte) Value {
	if slack := cap(b) - len(b); slack > len(b)>>3+32 { // the slack would be retained but not counted
		L.Allocate(textSize + len(b))
		return String(string(b))
	}
	L.vm.Allocated += textSize
	return String(unsafe.String(unsafe.SliceData(b), len(b)))
}

// NewTable returns a table that is counted.
func (L *Thread) NewTable(array, hash int) *Table {
	L.Allocate(tableSize + array*valueSize + hash*entrySize)
	return NewTable(array, hash)
}

// NewUserData returns a userdata that is counted. size is the size of v in bytes, which the caller has charged for.
func (L *Thread) NewUserData(v any, meta *Table, size int) Value {
	L.vm.Allocated += int64(size)
	L.Allocate(userDataSize)
	ud := NewUserData(v, meta)
	ud.AsUserData().size = size
	return ud
}

// ArgError raises an error about argument i. It names the function as the caller does.
func (L *Thread) ArgError(i int, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	kind, name := L.callName(L.ci)
	if kind == "method" {
		i--
		if i == 0 {
			L.RaiseError("calling '%s' on bad self (%s)", shortName(name), msg)
		}
	}
	if name == "" {
		name = "?"
	}
	L.RaiseError("bad argument #%d to '%s' (%s)", i, shortName(name), msg)
}

// TypeError raises an error about the type of argument i. expected is the name of the expected type.
func (L *Thread) TypeError(i int, expected string) {
	got := "no value"
	if i <= L.Top() {
		got = L.Get(i).Kind().String()
	}
	L.ArgError(i, "%s expected, got %s", expected, got)
}

// CheckAny returns an argument, and raises an error if it is missing.
func (L *Thread) CheckAny(i int) Value {
	if i > L.Top() {
		L.ArgError(i, "value expected")
	}
	return L.Get(i)
}

// CheckNumber returns an argument that is a number, or a string that is a numeral.
func (L *Thread) CheckNumber(i int) float64 {
	v := L.Get(i)
	if v.IsNumber() {
		return v.number()
	}
	f, ok := L.toNumber(v)
	if !ok {
		L.TypeError(i, "number")
	}
	return f
}

// OptNumber is CheckNumber with a default for an argument that is absent or nil.
func (L *Thread) OptNumber(i int, otherwise float64) float64 {
	if L.Get(i).IsNil() {
		return otherwise
	}
	return L.CheckNumber(i)
}

// CheckInt returns a number as an integer, rounded toward zero.
func (L *Thread) CheckInt(i int) int { return truncate(L.CheckNumber(i)) }

// OptInt is CheckInt with a default.
func (L *Thread) OptInt(i, otherwise int) int {
	if L.Get(i).IsNil() {
		return otherwise
	}
	return L.CheckInt(i)
}

// CheckInt32 returns a number as PUC's luaL_checkint does: a 64-bit integer, reduced to its low 32 bits.
func (L *Thread) CheckInt32(i int) int { return int(int32(L.CheckInt(i))) }

// OptInt32 is CheckInt32 with a default.
func (L *Thread) OptInt32(i, otherwise int) int { return int(int32(L.OptInt(i, otherwise))) }

// truncate converts as C does on amd64: a number out of range becomes the smallest integer.
func truncate(f float64) int {
	if f >= -(1<<63) && f < 1<<63 {
		return int(f)
	}
	return math.MinInt
}

// CheckString returns an argument that is a string or a number.
func (L *Thread) CheckString(i int) string {
	v := L.Get(i)
	if v.Kind() == StringKind {
		return v.text().s
	}
	s, ok := v.ToString()
	if !ok {
		L.TypeError(i, "string")
	}
	return s
}

// OptString is CheckString with a default.
func (L *Thread) OptString(i int, otherwise string) string {
	if L.Get(i).IsNil() {
		return otherwise
	}
	return L.CheckString(i)
}

// CheckTable returns an argument that is a table.
func (L *Thread) CheckTable(i int) *Table {
	t := L.Get(i).AsTable()
	if t == nil {
		L.TypeError(i, "table")
	}
	return t
}

// CheckFunction returns an argument that is a function.
func (L *Thread) CheckFunction(i int) *Function {
	f := L.Get(i).AsFunction()
	if f == nil {
		L.TypeError(i, "function")
	}
	return f
}

// CheckThread returns an argument that is a coroutine.
func (L *Thread) CheckThread(i int) *Thread {
	t := L.Get(i).AsThread()
	if t == nil {
		L.ArgError(i, "coroutine expected")
	}
	return t
}

// ToString converts a value as tostring does, with the metamethod __tostring.
func (L *Thread) ToString(v Value) string {
	if h := L.metamethod(v, "__tostring"); !h.IsNil() { // strings have a metatable, too
		res := L.callValue(h, v)
		s, ok := res.ToString()
		if !ok {
			L.RaiseError("'tostring' must return a string to 'print'")
		}
		return s
	}
	switch v.Kind() {
	case StringKind:
		return v.text().s
	case NumberKind:
		L.vm.charge(numberSteps)
		return FormatNumber(v.number())
	}
	L.vm.charge(numberSteps)
	return Describe(v)
}

// Describe formats a value without running any code. Objects differ by a number, which is not their address.
func Describe(v Value) string {
	switch v.Kind() {
	case NilKind:
		return "nil"
	case BoolKind:
		if v.Truth() {
			return "true"
		}
		return "false"
	case NumberKind:
		return FormatNumber(v.number())
	case StringKind:
		return v.text().s
	}
	return fmt.Sprintf("%s: 0x%0*x", v.Kind(), addressWidth, v.Identity()>>(64-4*addressWidth))
}

// Env returns the globals of the function that called the running native function. Without a caller it returns those of
// the thread.
func (L *Thread) Env() *Table {
	if ci := L.ci.prev; ci != nil && ci.fn != nil && ci.fn.proto != nil {
		return ci.fn.Env
	}
	return L.env
}

// Globals returns the globals of functions that are loaded in the thread.
func (L *Thread) Globals() *Table { return L.env }

// SetGlobals sets the globals of functions that are loaded in the thread.
func (L *Thread) SetGlobals(t *Table) { L.env = t }

// SetNext registers the function next, so that loops over it do without calls.
func (vm *VM) SetNext(f *Function) { vm.next = f }

// Args returns a copy of the arguments from i on.
func (L *Thread) Args(i int) []Value {
	from := min(L.ci.base+i-1, L.top)
	return append([]Value(nil), L.stack[from:L.top]...)
}

// Clear removes all values from the main thread's stack. It is called between runs.
func (vm *VM) Clear() {
	L := vm.Main
	if L.stack == nil { // after Rest
		L.stack = stacks.Get().(*[firstStack]Value)[:] //nolint:forcetypeassert // the pool has no others
	}
	used := L.stack
	if !vm.ran { // then only Push has written
		used = used[:L.top]
	}
	vm.ran = false
	L.top = 1
	L.closeUpvals(0)
	clear(used)
	vm.raised = nil
	L.ci = L.base()
	L.depth, L.overflowed = 0, false
	L.handler = Nil
	L.status = running
	vm.current, vm.calls = L, 0
}

func (L *Thread) base() *frame {
	ci := L.ci
	for ci.prev != nil {
		ci.fn = nil
		ci = ci.prev
	}
	return ci
}

// MarkClean marks a table. Any write to the table removes the mark.
func (t *Table) MarkClean() {
	if t.sharing != sharedTable { // which is clean
		t.absent |= clean
	}
}

// IsClean reports whether the table has not been written to since MarkClean.
func (t *Table) IsClean() bool { return t.absent&clean != 0 }

// SetMeta sets the metatable.
func (t *Table) SetMeta(meta *Table) {
	if t.sharing == sharedTable {
		panic("lua: a write to a shared table")
	}
	t.absent = 0
	t.Meta = meta
}

// Room returns the number of elements that the table has room for. A walk over the table visits as many.
func (t *Table) Room() int { return len(t.array) + len(t.entries) }

// Shift moves the elements from..to-1 up by one. It returns false, and moves nothing, unless all are in the array.
func (t *Table) Shift(from, to int) bool {
	if from < 1 || to > len(t.array) {
		return false
	}
	t.absent = 0
	copy(t.array[from:to], t.array[from-1:to-1])
	return true
}

// Unshift moves the elements from+1..to down by one. It returns false, and moves nothing, unless all are in the array.
func (t *Table) Unshift(from, to int) bool {
	if from < 1 || to > len(t.array) {
		return false
	}
	t.absent = 0
	copy(t.array[from-1:to-1], t.array[from:to])
	return true
}

// Next returns the key and the value that follow a key of a table. After nil it returns the first, at the end nil.
func (L *Thread) Next(t *Table, key Value) (k, v Value) { return L.nextElement(t, key) }
