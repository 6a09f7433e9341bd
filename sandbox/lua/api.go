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

// Get returns argument i, counted from 1, or from the end if i is negative; nil if there is none.
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

// PushShared pushes a string whose bytes another value has, too: they are counted, but nothing is copied.
func (L *Thread) PushShared(s string) int {
	L.vm.Allocated += int64(textSize + len(s))
	L.vm.charge(allocationSteps)
	L.Push(String(s))
	return 1
}

// AllocateString is Allocate for a string of n bytes.
func (L *Thread) AllocateString(n int) { L.Allocate(textSize + n) }

// Builder makes a string piece by piece. What it holds is charged for, and counts as in use, before it is allocated.
type Builder struct {
	L *Thread
	B []byte // what was made so far; whoever appends to it calls Room before
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
	t.L.Push(t.L.own(t.B))
	return 1
}

// own makes a string of bytes that nothing else refers to, and that were charged for.
func (L *Thread) own(b []byte) Value {
	if slack := cap(b) - len(b); slack > len(b)>>3+32 { // it would be kept and not counted
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

// NewUserData returns a userdata that is counted, with size bytes of its own, which were charged for.
func (L *Thread) NewUserData(v any, meta *Table, size int) Value {
	L.vm.Allocated += int64(size)
	L.Allocate(userDataSize)
	ud := NewUserData(v, meta)
	ud.AsUserData().size = size
	return ud
}

// ArgError raises that an argument is wrong. It names the function as its caller does.
func (L *Thread) ArgError(i int, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	kind, name := L.callName(L.ci)
	if kind == "method" {
		if i--; i == 0 {
			L.RaiseError("calling '%s' on bad self (%s)", shortName(name), msg)
		}
	}
	if name == "" {
		name = "?"
	}
	L.RaiseError("bad argument #%d to '%s' (%s)", i, shortName(name), msg)
}

// TypeError raises that an argument has another type than the one that is named.
func (L *Thread) TypeError(i int, want string) {
	got := "no value"
	if i <= L.Top() {
		got = L.Get(i).Kind().String()
	}
	L.ArgError(i, "%s expected, got %s", want, got)
}

// CheckAny returns an argument that must be there.
func (L *Thread) CheckAny(i int) Value {
	if i > L.Top() {
		L.ArgError(i, "value expected")
	}
	return L.Get(i)
}

// CheckNumber returns an argument that is a number, or a string that can be read as one.
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

// CheckInt returns a number as an integer, cut toward zero.
func (L *Thread) CheckInt(i int) int { return truncate(L.CheckNumber(i)) }

// OptInt is CheckInt with a default.
func (L *Thread) OptInt(i, otherwise int) int {
	if L.Get(i).IsNil() {
		return otherwise
	}
	return L.CheckInt(i)
}

// CheckInt32 returns a number as PUC's luaL_checkint does: as an integer of 64 bits, cut to its low 32 bits.
func (L *Thread) CheckInt32(i int) int { return int(int32(L.CheckInt(i))) }

// OptInt32 is CheckInt32 with a default.
func (L *Thread) OptInt32(i, otherwise int) int { return int(int32(L.OptInt(i, otherwise))) }

// truncate converts as C does on amd64: what does not fit is the smallest integer.
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

// ToString returns a value as tostring does: by its metamethod if it has one.
func (L *Thread) ToString(v Value) string {
	switch v.Kind() {
	case StringKind:
		return v.text().s
	case NumberKind:
		L.vm.charge(numberSteps)
		return FormatNumber(v.number())
	}
	if h := L.metamethod(v, "__tostring"); !h.IsNil() {
		res := L.callValue(h, v)
		s, ok := res.ToString()
		if !ok {
			L.RaiseError("'tostring' must return a string to 'print'")
		}
		return s
	}
	L.vm.charge(numberSteps)
	return Describe(v)
}

// Describe shows a value without running any code. An object is told from others by a number that does not
// say where it is in memory.
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

// Env returns the globals of the function that called the running native function, or those of the thread.
func (L *Thread) Env() *Table {
	if ci := L.ci.prev; ci != nil && ci.fn != nil && ci.fn.proto != nil {
		return ci.fn.Env
	}
	return L.env
}

// Globals returns the globals of the thread: those of functions that are loaded in it.
func (L *Thread) Globals() *Table { return L.env }

// SetGlobals sets them.
func (L *Thread) SetGlobals(t *Table) { L.env = t }

// SetNext names the function that is next: loops over it need not call it.
func (vm *VM) SetNext(f *Function) { vm.next = f }

// Args returns a copy of the arguments from i on.
func (L *Thread) Args(i int) []Value {
	from := min(L.ci.base+i-1, L.top)
	return append([]Value(nil), L.stack[from:L.top]...)
}

// Clear lets go of everything on the main thread's stack, between runs.
func (vm *VM) Clear() {
	L := vm.Main
	L.top = 1
	L.closeUpvals(0)
	clear(L.stack)
	vm.raised = nil
	L.ci, L.depth, L.handler, L.status = L.base(), 0, Nil, running
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

// MarkClean marks a table until it is written to, and IsClean reports whether it still is.
func (t *Table) MarkClean() { t.absent |= clean }

// IsClean reports whether the table was not written to since it was marked.
func (t *Table) IsClean() bool { return t.absent&clean != 0 }

// SetMeta sets the metatable.
func (t *Table) SetMeta(meta *Table) {
	t.absent = 0
	t.Meta = meta
}

// Room returns how many elements the table has room for: what a walk over it takes.
func (t *Table) Room() int { return len(t.array) + len(t.entries) }

// Shift moves the elements from..to-1 up by one, and Unshift the elements from+1..to down by one, if all of
// them are in the array; otherwise it reports false.
func (t *Table) Shift(from, to int) bool {
	if from < 1 || to > len(t.array) {
		return false
	}
	t.absent = 0
	copy(t.array[from:to], t.array[from-1:to-1])
	return true
}

// Unshift is described at Shift.
func (t *Table) Unshift(from, to int) bool {
	if from < 1 || to > len(t.array) {
		return false
	}
	t.absent = 0
	copy(t.array[from-1:to-1], t.array[from:to])
	return true
}

// Next returns the key and the value after a key of a table, the first ones after nil, and nil at the end.
func (L *Thread) Next(t *Table, key Value) (k, v Value) { return L.nextElement(t, key) }
