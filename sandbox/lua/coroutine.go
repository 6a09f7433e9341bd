package lua

// NewThread returns a coroutine that will call a function.
func (L *Thread) NewThread(fn *Function) *Thread {
	co := L.vm.newThread(L.env)
	co.stack[1] = fn.Value()
	co.top = 2
	return co
}

// Status returns the state of a coroutine: "suspended", "running", "normal" or "dead".
func (L *Thread) Status() string { return statusNames[L.status] }

// Current returns the thread that runs.
func (vm *VM) Current() *Thread { return vm.current }

// Resume runs a coroutine until it yields or ends. The top n values are the arguments of its function, or the results
// of its yield. They are replaced by the values that the coroutine yielded or returned; results is their number. If the
// coroutine raises an error, Resume returns it and leaves no values.
func (L *Thread) Resume(co *Thread, n int) (results int, err *Error) {
	from := L.top - n
	if co.status != suspended {
		L.top = from
		return 0, &Error{Value: String("cannot resume " + co.Status() + " coroutine")}
	}
	if L.vm.calls >= maxCalls {
		L.top = from
		return 0, &Error{Value: String("C stack overflow")}
	}
	L.vm.charge(20)
	co.reserve(co.top + n)
	copy(co.stack[co.top:], L.stack[from:L.top])
	co.top += n
	L.top = from
	err = L.switchTo(co, n)
	if err != nil {
		return 0, err
	}
	at := 1
	if co.status == suspended { // its yielded values are the arguments of yield
		at = co.pending.base
	}
	results = co.top - at
	L.reserve(L.top + results)
	copy(L.stack[L.top:], co.stack[at:co.top])
	L.top += results
	if co.status == suspended {
		co.top = at
	} else {
		co.release()
	}
	return results, nil
}

// release frees the stack of a coroutine that has ended.
func (L *Thread) release() { L.stack, L.top, L.ci = nil, 0, &frame{} }

// switchTo runs a coroutine, whose arguments are on its stack.
func (L *Thread) switchTo(co *Thread, n int) (err *Error) {
	vm := L.vm
	calls, buffers := vm.calls, vm.buffers
	vm.calls++
	co.calls = vm.calls
	co.resumer = L
	begun := co.begun
	co.begun = true
	L.status = normal
	co.status = running
	vm.current = co
	defer func() {
		vm.calls = calls
		vm.buffers = buffers
		vm.current = L
		L.status = running
		if vm.raised == nil {
			return
		}
		recover() //nolint:errcheck // the value is vm.raised
		err, vm.raised = vm.raised, nil
		co.status = dead
		co.closeUpvals(0)
		co.stack, co.top = nil, 0 // the frames stay for a traceback
	}()
	if yields := co.proceed(begun, n); yields {
		co.status = suspended
	} else {
		co.status = dead
	}
	return nil
}

// proceed starts or continues the coroutine and reports whether it yielded.
func (L *Thread) proceed(begun bool, n int) (yields bool) {
	if begun {
		p := L.pending
		L.finish(p.slot, n, p.nresults) // the results of the yield
		if L.ci.prev == nil {           // its function was yield itself
			return false
		}
		return L.execute()
	}
	fn := L.callable(1)
	if fn.proto == nil {
		return L.native(fn, 1, -1)
	}
	L.begin(fn, 1, -1).fresh = true
	return L.execute()
}

// Yield suspends the running coroutine and yields the arguments of the running native function. The native function
// must return the result of Yield.
func (L *Thread) Yield() int {
	if L.vm.calls != L.calls || L == L.vm.Main {
		L.RuntimeError("attempt to yield across metamethod/C-call boundary")
	}
	return yielded
}
