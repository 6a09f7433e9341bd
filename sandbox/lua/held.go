package lua

// userDataSize is the size of a userdata without its value.
const userDataSize = 80

// Held returns the bytes in use. These are all values reachable from the given ones, from the globals and from the
// stacks of the running coroutine and of those that have resumed it, and the buffers of running native functions. It
// stops counting above most. Values and code that several VMs share are not counted.
func (vm *VM) Held(most int64, from ...Value) int64 {
	vm.epoch++
	if vm.epoch == 0 { // epoch 0 is the mark of new objects
		vm.epoch = 1
	}
	w := walker{epoch: vm.epoch, most: most, sum: vm.buffers}
	for _, v := range from {
		w.add(v)
	}
	w.table(vm.StringMeta)
	w.table(vm.Main.env)
	w.add(vm.Main.Value())
	for L := vm.current; L != nil; L = L.resumer {
		w.add(L.Value())
	}
	for len(w.todo) > 0 && w.sum <= most {
		v := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.visit(v)
	}
	return w.sum
}

// walker visits values. Values that are found but not visited are in a list: recursion would be as deep as scripts nest
// values.
type walker struct {
	epoch uint16
	most  int64
	sum   int64
	todo  []Value
}

// add counts a value and schedules its visit, unless it was found before.
func (w *walker) add(v Value) {
	var mark *uint16
	switch v.Kind() {
	case StringKind:
		t := v.text()
		if !t.shared && t.mark != w.epoch { // it has no parts to visit
			t.mark = w.epoch
			w.sum += textSize + int64(len(t.s))
		}
		return
	case TableKind:
		t := (*Table)(v.ref)
		if t.sharing == sharedTable {
			return
		}
		mark = &t.mark
	case FunctionKind:
		f := (*Function)(v.ref)
		if f.shared {
			return
		}
		mark = &f.mark
	case UserDataKind:
		u := (*UserData)(v.ref)
		if u.shared {
			return
		}
		mark = &u.mark
	case ThreadKind:
		mark = &(*Thread)(v.ref).mark
	default:
		return
	}
	if *mark != w.epoch {
		*mark = w.epoch
		w.todo = append(w.todo, v)
	}
}

func (w *walker) table(t *Table) {
	if t != nil {
		w.add(t.Value())
	}
}

func (w *walker) visit(v Value) {
	switch v.Kind() {
	case TableKind:
		t := (*Table)(v.ref)
		w.table(t.Meta)
		if t.sharing == viewTable {
			w.sum += tableSize
			return // its elements are shared
		}
		w.sum += int64(t.Size())
		for _, e := range t.array {
			w.add(e)
		}
		for i := range t.entries {
			w.add(t.entries[i].key) // the key of a removed element, too, which is retained until the table grows
			w.add(t.entries[i].value)
		}
	case FunctionKind:
		f := (*Function)(v.ref)
		w.sum += functionSize + int64(len(f.upvals))*(8+upvalSize)
		w.table(f.Env)
		if f.proto != nil {
			w.proto(f.proto)
		}
		if f.state != nil {
			w.sum += int64(f.state.size)
			w.add(f.state.refs[0])
			w.add(f.state.refs[1])
		}
		for _, u := range f.upvals {
			w.add(*u.v)
		}
	case UserDataKind:
		u := (*UserData)(v.ref)
		w.sum += userDataSize + int64(u.size)
		w.table(u.Meta)
		w.add(u.Ref)
	case ThreadKind:
		w.thread((*Thread)(v.ref))
	}
}

// proto counts code that a script has compiled.
func (w *walker) proto(p *Proto) {
	if !p.private || p.mark == w.epoch {
		return
	}
	p.mark = w.epoch
	w.sum += int64(p.ownSize)
	for _, c := range p.consts {
		w.add(c)
	}
	for _, inner := range p.protos {
		w.proto(inner)
	}
}

// thread counts a coroutine's stack. It clears the slots above those in use, because they are not counted.
func (w *walker) thread(L *Thread) {
	w.sum += threadSize + int64(len(L.stack))*valueSize + int64(L.frames)*frameSize
	w.table(L.env)
	n := min(L.inUse(), len(L.stack))
	for _, v := range L.stack[:n] {
		w.add(v)
	}
	clear(L.stack[n:])
	if L.status == dead { // its functions are no longer on the stack
		for ci := L.ci; ci != nil; ci = ci.prev {
			if ci.fn != nil {
				w.add(ci.fn.Value())
			}
		}
	}
}

// inUse returns the end of the slots that the functions of a coroutine use.
func (L *Thread) inUse() int {
	top := L.top
	for ci := L.ci; ci != nil; ci = ci.prev {
		if ci.fn != nil && ci.fn.proto != nil {
			top = max(top, ci.base+ci.fn.proto.registers)
		}
	}
	return top
}
