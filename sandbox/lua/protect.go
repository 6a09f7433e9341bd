package lua

// try calls the function on the stack at a position and catches what it raises. What it does not catch is
// the end of a run, and a Go panic of the host's own.
func (L *Thread) try(at, want int, handler Value) (err *Error) {
	vm := L.vm
	vm.charge(protectSteps)
	ci, depth, calls, was, buffers := L.ci, L.depth, vm.calls, L.handler, vm.buffers
	L.handler = handler
	defer func() {
		L.handler = was
		if vm.raised == nil { // it returned, or panics with something that is not raised by Lua
			return
		}
		recover() //nolint:errcheck // it is vm.raised
		err, vm.raised = vm.raised, nil
		left := vm.calls - calls
		for f := L.ci; f != ci; f = f.prev {
			f.fn = nil // it would stay alive, uncounted, until the frame is used again
		}
		L.ci, L.depth, vm.calls, vm.buffers = ci, depth, calls, buffers
		L.closeUpvals(at)
		L.top = at
		vm.charge(leaveSteps * left)
	}()
	L.call(at, want)
	return nil
}

// Try calls the function below the top n values with them as arguments, and leaves want results in their
// place; all for -1. If it raises something, nothing is left and err says what.
//
// handler, if it is not nil, is called with what is raised before the stack is unwound, and its result is
// raised instead.
func (L *Thread) Try(n, want int, handler Value) (err *Error) {
	return L.try(L.top-n-1, want, handler)
}

// Run calls the function below the top n values of the main thread, for a host that runs a script. It
// leaves all results there. err is an *Error if the function raised something; otherwise the run was ended
// and err is why, as [VM.Refill] or [VM.Kill] gave it. notice, if it is not nil, is called where a value is
// raised that nothing catches; what it returns becomes [Error.Trace]. A Go panic of a native function, or
// of the VM, is not caught.
func (vm *VM) Run(n int, notice func(L *Thread, v Value) string) (err error) {
	if vm.killed != nil {
		return vm.killed
	}
	L := vm.Main
	at := L.top - n - 1
	vm.current, vm.calls, vm.buffers = L, 0, 0
	defer func() {
		if vm.killed == nil {
			return
		}
		if r := recover(); r != nil {
			if _, ok := r.(killedPanic); !ok {
				panic(r)
			}
			err = vm.killed
		}
	}()
	if e := L.tryNoticed(at, notice); e != nil {
		return e
	}
	return nil
}

// tryNoticed is try with a notice in place of a handler.
func (L *Thread) tryNoticed(at int, notice func(L *Thread, v Value) string) *Error {
	if notice == nil {
		return L.try(at, -1, Nil)
	}
	var trace string
	h := NewNative(func(L *Thread) int {
		trace = notice(L, L.Get(1))
		return 1 // the value itself, on top
	})
	e := L.try(at, -1, h.Value())
	if e != nil {
		e.Trace = trace
	}
	return e
}
