package lua

import "fmt"

// Thread is a coroutine, or the main thread of a VM. A native function may use its thread only until it returns.
type Thread struct {
	kind   Kind
	mark   uint16
	status status
	begun  bool // its function was called
	vm     *VM
	env    *Table // globals of functions that are made outside any function

	stack      []Value
	top        int    // end of the values in use; in a Lua function only instructions with open results set it
	ci         *frame // the running function
	depth      int    // nesting depth of calls
	overflowed bool   // a stack overflow was raised, and no protected call below the limit has caught it
	frames     int    // number of allocated frames
	open       *upval // upvalues on the stack, the highest first

	handler Value // called with a raised value before the stack is unwound
	calls   int   // vm.calls at the resume: a yield is possible only at the same depth
	resumer *Thread
	pending frame // of a call that yielded: the destination of its results
}

// status is the state of a coroutine.
type status uint8

const (
	suspended status = iota
	running
	normal // has resumed another coroutine
	dead
)

var statusNames = [...]string{"suspended", "running", "normal", "dead"}

// frame is a running function.
type frame struct {
	fn        *Function
	slot      int // position of the function on the stack, where its results go
	base      int // first register, or first argument of a native function
	pc        int // next instruction
	nresults  int // number of expected results; -1 for all
	tailCalls int // number of calls that tail calls have replaced
	fresh     bool
	prev      *frame
	next      *frame // for reuse
}

const (
	threadSize = 400
	frameSize  = 96
)

// Steps of operations whose duration does not depend on the size of their operands.
const (
	allocationSteps = 10
	protectSteps    = 20 // a protected call
	throwSteps      = 70 // raising and catching a value
	leaveSteps      = 20 // unwinding a Go call during that
	messageSteps    = 60 // making a message with a position
	traceSteps      = 60 // a line of a traceback
	numberSteps     = 30 // formatting a number
)

func (vm *VM) newThread(env *Table) *Thread {
	L := &Thread{kind: ThreadKind, vm: vm, env: env, stack: make([]Value, firstStack)}
	L.ci = &frame{base: 1, slot: 0}
	L.top = 1
	vm.Allocated += threadSize + int64(len(L.stack))*valueSize + frameSize
	return L
}

// VM returns the VM of the thread.
func (L *Thread) VM() *VM { return L.vm }

// Charge takes steps for work that is about to be done. It ends the run if the limit is reached.
func (L *Thread) Charge(steps int) { L.vm.charge(steps) }

// ChargeBytes charges for reading or making n bytes.
func (L *Thread) ChargeBytes(n int) {
	if n >= 64 {
		L.vm.charge(n >> 5)
	}
}

// Allocate counts n bytes that are about to be allocated for the script's values, and charges for allocating, clearing
// or filling, and collecting them. The allocation must come before any other charge, because the next charge releases
// the process memory that was reserved for it.
func (L *Thread) Allocate(n int) {
	L.vm.Allocated += int64(n)
	L.vm.charge(allocationSteps + n>>4)
}

// Buffer is Allocate for memory of a native function that the script cannot reach. The memory counts as in use until
// the function returns or raises an error.
func (L *Thread) Buffer(n int) {
	L.vm.buffers += int64(n)
	L.Allocate(n)
}

// reserve ensures that slots up to n, and a window above, exist.
func (L *Thread) reserve(n int) {
	if n+window <= len(L.stack) {
		return
	}
	if n > L.vm.limits.Stack {
		if n > L.vm.limits.Stack+1000 {
			panic(fmt.Sprintf("lua: a stack of %d slots", n))
		}
		L.stackOverflow()
	}
	size := max(2*len(L.stack), n+window+64)
	L.Allocate(size * valueSize)
	stack := make([]Value, size)
	copy(stack, L.stack)
	L.stack = stack
	for u := L.open; u != nil; u = u.next {
		u.v = &stack[u.index]
	}
}

func (L *Thread) stackOverflow() {
	L.RuntimeError("stack overflow")
}

// enter makes a frame the running one.
func (L *Thread) enter(fn *Function, at, base, nresults int) *frame {
	ci := L.ci.next
	if ci == nil {
		ci = &frame{prev: L.ci}
		L.ci.next = ci
		L.frames++
		L.vm.Allocated += frameSize
	}
	L.depth++
	if L.depth > L.vm.limits.Depth {
		L.overflow()
	}
	ci.fn = fn
	ci.slot = at
	ci.base = base
	ci.nresults, ci.pc = nresults, 0
	ci.tailCalls, ci.fresh = 0, false
	L.ci = ci
	return ci
}

// overflow raises an error in a call deeper than the limit. As in PUC, a stack overflow is raised once: until a
// protected call below the limit has caught it, a handler or the code after a protected call gets some room, and then
// no message.
func (L *Thread) overflow() {
	switch {
	case !L.overflowed:
		L.overflowed = true
		L.stackOverflow()
	case L.depth > L.vm.limits.Depth+overflowRoom:
		L.throw(String("error in error handling"))
	}
}

func (L *Thread) leave() {
	L.ci.fn = nil
	L.ci = L.ci.prev
	L.depth--
}

// begin enters a Lua function. The function and its arguments, up to the top, are on the stack.
func (L *Thread) begin(fn *Function, at, nresults int) *frame {
	p := fn.proto
	args := L.top - at - 1
	base := at + 1
	if p.vararg {
		base = L.top
		L.reserve(base + p.registers)
		n := min(args, p.params)
		copy(L.stack[base:], L.stack[at+1:at+1+n])
		clear(L.stack[at+1 : at+1+n])
		clear(L.stack[base+n : base+p.params+1])
		if p.UsesArg {
			L.stack[base+p.params] = L.argTable(at+1+n, args-n)
		}
		return L.enter(fn, at, base, nresults)
	}
	L.reserve(base + p.registers)
	if args < p.params {
		clear(L.stack[base+args : base+p.params])
	}
	return L.enter(fn, at, base, nresults)
}

// argTable makes the table arg for functions without "..." in their body.
func (L *Thread) argTable(from, n int) Value {
	L.Allocate(tableSize + n*valueSize)
	t := NewTable(n, 1)
	copy(t.array, L.stack[from:from+n])
	t.SetString("n", Int(n))
	return t.Value()
}

// finish moves the n results below the top to the position of the function.
func (L *Thread) finish(at, n, nresults int) {
	from := L.top - n
	if nresults < 0 {
		copy(L.stack[at:], L.stack[from:L.top])
		L.top = at + n
		return
	}
	if n > nresults {
		n = nresults
	}
	copy(L.stack[at:], L.stack[from:from+n])
	clear(L.stack[at+n : at+nresults])
	L.top = at + nresults
}

// native runs a native function. The function and its arguments, up to the top, are on the stack. It returns true if
// the function yielded.
func (L *Thread) native(fn *Function, at, nresults int) (yields bool) {
	L.reserve(L.top + minStack)
	L.enter(fn, at, at+1, nresults)
	buffers := L.vm.buffers
	n := fn.native(L)
	L.vm.buffers = buffers
	if n == yielded {
		L.pending = *L.ci
		L.leave()
		return true
	}
	L.leave()
	L.finish(at, n, nresults)
	return false
}

// yielded is the result of coroutine.yield, instead of a number of results.
const yielded = -1

// callable returns the function to call. If the called value is not a function, its metamethod __call replaces it, and
// the value becomes the first argument.
func (L *Thread) callable(at int) *Function {
	v := L.stack[at]
	if fn := v.AsFunction(); fn != nil {
		return fn
	}
	fn := L.metamethod(v, "__call").AsFunction()
	if fn == nil {
		L.typeError(v, "call", at-L.ci.base)
	}
	L.reserve(L.top + 1)
	copy(L.stack[at+1:], L.stack[at:L.top])
	L.top++
	L.stack[at] = fn.Value()
	return fn
}

// call calls a function from Go. The function is at a position of the stack, and its arguments follow, up to the top.
// The results replace them, up to the new top.
func (L *Thread) call(at, nresults int) {
	vm := L.vm
	vm.calls++
	if vm.calls >= maxCalls {
		if vm.calls == maxCalls {
			L.RuntimeError("C stack overflow")
		} else if vm.calls >= maxCalls+maxCalls/8 {
			L.throw(String("error in error handling"))
		}
	}
	vm.charge(10)
	fn := L.callable(at)
	if fn.proto == nil {
		L.native(fn, at, nresults)
	} else {
		L.begin(fn, at, nresults).fresh = true
		L.execute()
	}
	vm.calls--
}

// scratch returns the position above all slots of the running function.
func (L *Thread) scratch() int {
	if ci := L.ci; ci.fn != nil && ci.fn.proto != nil {
		return ci.base + ci.fn.proto.registers
	}
	return L.top
}

// callValue calls a function from Go and returns its first result.
func (L *Thread) callValue(fn Value, args ...Value) Value {
	at, top := L.scratch(), L.top
	L.reserve(at + 1 + len(args))
	L.stack[at] = fn
	copy(L.stack[at+1:], args)
	L.top = at + 1 + len(args)
	L.call(at, 1)
	L.top = top
	return L.stack[at]
}

// Call calls a function and returns its first result.
func (L *Thread) Call(fn Value, args ...Value) Value { return L.callValue(fn, args...) }

// CallTop calls the function below the top n values, which are its arguments, and replaces them with nresults results;
// -1 means all.
func (L *Thread) CallTop(n, nresults int) { L.call(L.top-n-1, nresults) }

// findUpval returns the upvalue for a slot of the stack.
func (L *Thread) findUpval(index int) *upval {
	link := &L.open
	for *link != nil && (*link).index > index {
		link = &(*link).next
	}
	if u := *link; u != nil && u.index == index {
		return u
	}
	L.vm.Allocated += upvalSize
	u := &upval{v: &L.stack[index], index: index, next: *link}
	*link = u
	return u
}

// closeUpvals moves the values of upvalues from a slot on off the stack.
func (L *Thread) closeUpvals(from int) {
	for u := L.open; u != nil && u.index >= from; u = L.open {
		u.closed = *u.v
		u.v = &u.closed
		L.open = u.next
		u.next = nil
	}
}

// closure makes a closure of code inside the running function.
func (L *Thread) closure(p *Proto, around *Function, base int) *Function {
	n := len(p.Captures)
	L.vm.Allocated += functionSize + int64(n)*8
	L.vm.charge(allocationSteps + 8*n)
	var fn *Function
	if n == 1 { // the usual number, in one allocation
		one := new(struct {
			f Function
			u [1]*upval
		})
		fn = &one.f
		fn.upvals = one.u[:]
	} else {
		fn = new(Function)
		if n > 0 {
			fn.upvals = make([]*upval, n)
		}
	}
	fn.kind = FunctionKind
	fn.Env = around.Env
	fn.proto = p
	if n > 0 {
		for i, c := range p.Captures {
			if c.Register {
				fn.upvals[i] = L.findUpval(base + c.Index)
			} else {
				fn.upvals[i] = around.upvals[c.Index]
			}
		}
	}
	return fn
}
