package lua

// try calls the function at a position of the stack and catches raised errors. It does not catch the end of a run, or a
// Go panic of the host.
func (L *Thread) try(at, nresults int, handler Value) (err *Error) {
	vm := L.vm
	vm.charge(protectSteps)
	ci := L.ci
	depth := L.depth
	calls := vm.calls
	was := L.handler
	buffers := vm.buffers
	L.handler = handler
	defer func() {
		L.handler = was
		if vm.raised == nil { // it returned, or panics with a value that Lua did not raise
			return
		}
		recover() //nolint:errcheck // the value is vm.raised
		err, vm.raised = vm.raised, nil
		left := vm.calls - calls
		for f := L.ci; f != ci; f = f.prev {
			f.fn = nil // otherwise it would stay alive, uncounted, until the frame is reused
		}
		L.ci = ci
		L.depth = depth
		if depth < vm.limits.Depth {
			L.overflowed = false
		}
		vm.calls = calls
		vm.buffers = buffers
		L.closeUpvals(at)
		L.top = at
		vm.charge(leaveSteps * left)
	}()
	L.call(at, nresults)
	return nil
}

// Try calls the function below the top n values, which are its arguments, and replaces them with nresults results; -1
// means all. If the call raises an error, Try returns the error and leaves no values.
//
// handler, if not nil, is called with the raised value before the stack is unwound. Its result is raised instead.
func (L *Thread) Try(n, nresults int, handler Value) (err *Error) {
	return L.try(L.top-n-1, nresults, handler)
}

// Run calls the function below the top n values of the main thread, and leaves all results there. It is called by the
// host to run a script. err is an *Error if the function raised an error. Otherwise the run was ended, and err is the
// reason, given by [VM.Refill] or [VM.Kill].
//
// notice, if not nil, is called where an uncaught value is raised. Its result becomes [Error.Trace]. Run does not catch
// a Go panic of a native function or of the VM.
func (vm *VM) Run(n int, notice func(L *Thread, v Value) string) (err error) {
	if vm.killed != nil {
		return vm.killed
	}
	L := vm.Main
	at := L.top - n - 1
	vm.current = L
	vm.ran = true
	vm.calls = 0
	vm.buffers = 0
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

// tryNoticed is try with a notice instead of a handler.
func (L *Thread) tryNoticed(at int, notice func(L *Thread, v Value) string) *Error {
	if notice == nil {
		return L.try(at, -1, Nil)
	}
	vm := L.vm
	if vm.noticer == nil {
		vm.noticer = NewNative(func(L *Thread) int {
			L.vm.trace = L.vm.notice(L, L.Get(1))
			return 1 // the value itself, on top
		})
	}
	outer := vm.notice
	vm.notice, vm.trace = notice, ""
	e := L.try(at, -1, vm.noticer.Value())
	if e != nil {
		e.Trace = vm.trace
	}
	vm.notice, vm.trace = outer, ""
	return e
}
