package lua

import "fmt"

// Thread is a coroutine, or the main thread of a VM. A native function uses the one it is given, and only
// until it returns.
type Thread struct {
	kind   Kind
	mark   uint16
	status status
	begun  bool // its function was called
	vm     *VM
	env    *Table // the globals of functions that are made without a function around them

	stack  []Value
	top    int    // end of the values in use; of a Lua function only where an instruction sets it
	ci     *frame // the running function
	depth  int    // functions inside each other
	frames int    // that were made
	open   *upval // upvalues on the stack, the highest first

	handler Value // is called with what is raised, before the stack is unwound
	calls   int   // vm.calls where it was resumed: a yield is possible only there
	resumer *Thread
	pending frame // of a call that yielded: where its results go
}

// status is the state of a coroutine.
type status uint8

const (
	suspended status = iota
	running
	normal // has resumed another
	dead
)

var statusNames = [...]string{"suspended", "running", "normal", "dead"}

// frame is a function that runs.
type frame struct {
	fn    *Function
	at    int // of the function on the stack: its results go there
	base  int // first register, or first argument of a native function
	pc    int // next instruction
	want  int // results wanted; -1: all
	tails int // calls that it replaced
	fresh bool
	prev  *frame
	next  *frame // for reuse
}

const (
	threadSize = 400
	frameSize  = 96
)

// Steps that are charged for what takes as long however large its operands are.
const (
	allocationSteps = 10
	protectSteps    = 20 // a protected call
	throwSteps      = 70 // raising a value and catching it
	leaveSteps      = 20 // leaving a call of Go's with it
	messageSteps    = 60 // making a message that says where
	traceSteps      = 60 // a line of a traceback
	numberSteps     = 30 // writing a number as text
)

func (vm *VM) newThread(env *Table) *Thread {
	L := &Thread{kind: ThreadKind, vm: vm, env: env, stack: make([]Value, window+64)}
	L.ci = &frame{base: 1, at: 0}
	L.top = 1
	vm.Allocated += threadSize + int64(len(L.stack))*valueSize + frameSize
	return L
}

// VM returns the VM of the thread.
func (L *Thread) VM() *VM { return L.vm }

// Charge takes steps for work that is about to be done, and ends the run if it may not have them.
func (L *Thread) Charge(steps int) { L.vm.charge(steps) }

// ChargeBytes charges for reading or making so many bytes.
func (L *Thread) ChargeBytes(n int) {
	if n >= 64 {
		L.vm.charge(n >> 5)
	}
}

// Allocate notes that n bytes are about to be allocated for the script's values and charges for them: for the
// allocation, for clearing or filling the memory, and for its collection. The allocation comes before any other charge:
// with that, the memory of the process that was taken for it is given back.
func (L *Thread) Allocate(n int) {
	L.vm.Allocated += int64(n)
	L.vm.charge(allocationSteps + n>>4)
}

// Buffer is Allocate for memory that a native function keeps out of the script's reach. It counts as in use until
// the function returns or raises.
func (L *Thread) Buffer(n int) {
	L.vm.buffers += int64(n)
	L.Allocate(n)
}

// reserve makes sure that slots up to n, and a window above, exist.
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
func (L *Thread) enter(fn *Function, at, base, want int) *frame {
	ci := L.ci.next
	if ci == nil {
		ci = &frame{prev: L.ci}
		L.ci.next = ci
		L.frames++
		L.vm.Allocated += frameSize
	}
	if L.depth++; L.depth > L.vm.limits.Depth {
		if L.depth > L.vm.limits.Depth+200 { // while the error about it is handled
			L.throw(String("error in error handling"))
		}
		if L.depth == L.vm.limits.Depth+1 {
			L.stackOverflow()
		}
	}
	ci.fn, ci.at, ci.base, ci.want, ci.pc, ci.tails, ci.fresh = fn, at, base, want, 0, 0, false
	L.ci = ci
	return ci
}

func (L *Thread) leave() {
	L.ci.fn = nil
	L.ci = L.ci.prev
	L.depth--
}

// begin enters a Lua function that is on the stack with its arguments up to the top.
func (L *Thread) begin(fn *Function, at, want int) *frame {
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
		return L.enter(fn, at, base, want)
	}
	L.reserve(base + p.registers)
	if args < p.params {
		clear(L.stack[base+args : base+p.params])
	}
	return L.enter(fn, at, base, want)
}

// argTable makes the table of the extra arguments that functions without "..." in their body have.
func (L *Thread) argTable(from, n int) Value {
	L.Allocate(tableSize + n*valueSize)
	t := NewTable(n, 1)
	copy(t.array, L.stack[from:from+n])
	t.SetString("n", Int(n))
	return t.Value()
}

// finish moves the n results below the top of a function to where its caller expects them.
func (L *Thread) finish(at, n, want int) {
	from := L.top - n
	if want < 0 {
		copy(L.stack[at:], L.stack[from:L.top])
		L.top = at + n
		return
	}
	if n > want {
		n = want
	}
	copy(L.stack[at:], L.stack[from:from+n])
	clear(L.stack[at+n : at+want])
	L.top = at + want
}

// native runs a native function that is on the stack with its arguments up to the top. It reports whether
// the function yielded.
func (L *Thread) native(fn *Function, at, want int) (yields bool) {
	L.reserve(L.top + minStack)
	L.enter(fn, at, at+1, want)
	buffers := L.vm.buffers
	n := fn.native(L)
	L.vm.buffers = buffers
	if n == yielded {
		L.pending = *L.ci
		L.leave()
		return true
	}
	L.leave()
	L.finish(at, n, want)
	return false
}

// yielded is what the function coroutine.yield returns instead of a number of results.
const yielded = -1

// callable makes sure that what is called is a function: otherwise its metamethod takes its place, and it
// becomes the first argument.
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

// call calls the function on the stack at a position, with its arguments up to the top, from Go. The
// results replace it; the top is behind them.
func (L *Thread) call(at, want int) {
	vm := L.vm
	if vm.calls++; vm.calls >= maxCalls {
		if vm.calls == maxCalls {
			L.RuntimeError("C stack overflow")
		} else if vm.calls >= maxCalls+maxCalls/8 {
			L.throw(String("error in error handling"))
		}
	}
	vm.charge(10)
	fn := L.callable(at)
	if fn.proto == nil {
		L.native(fn, at, want)
	} else {
		L.begin(fn, at, want).fresh = true
		L.execute()
	}
	vm.calls--
}

// scratch returns the position above everything that the running function uses.
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

// CallTop calls the function below the top n values with them as arguments, and leaves want results in
// their place; all for -1.
func (L *Thread) CallTop(n, want int) { L.call(L.top-n-1, want) }

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

// closeUpvals takes the upvalues from a slot on off the stack.
func (L *Thread) closeUpvals(from int) {
	for u := L.open; u != nil && u.index >= from; u = L.open {
		u.closed = *u.v
		u.v = &u.closed
		L.open = u.next
		u.next = nil
	}
}

// closure makes a function of code inside the running one.
func (L *Thread) closure(p *Proto, around *Function, base int) *Function {
	n := len(p.Captures)
	L.vm.Allocated += functionSize + int64(n)*8
	L.vm.charge(allocationSteps + 8*n)
	var fn *Function
	if n == 1 { // the usual number, in one piece
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
	fn.kind, fn.Env, fn.proto = FunctionKind, around.Env, p
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
