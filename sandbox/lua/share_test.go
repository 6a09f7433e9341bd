package lua

import "testing"

// newShared returns a shared table with some elements.
func newShared() *Table {
	t := NewTable(0, 4)
	t.SetString("a", Int(1))
	t.SetString("b", NewNative(func(*Thread) int { return 0 }).Value())
	t.SetString("t", String("text"))
	Share(t)
	return t
}

// panics reports whether f panics.
func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}

// TestView writes to views of a table in every way. The table and its other views do not change.
func TestView(t *testing.T) {
	for name, write := range map[string]func(*Table){
		"Set":        func(v *Table) { v.Set(Number(0.5), True) },
		"an element": func(v *Table) { v.SetString("a", Int(2)) },
		"nil":        func(v *Table) { v.SetString("a", Nil) },
		"SetInt":     func(v *Table) { v.SetInt(1, True) },
		"Append":     func(v *Table) { v.Append(True) },
		"many": func(v *Table) {
			for i := range 100 {
				v.SetInt(i, True)
			}
		},
		"SetMeta":     func(v *Table) { v.SetMeta(NewTable(0, 0)) },
		"a clone":     func(v *Table) { v.Clone().SetString("a", Nil) },
		"a new clone": func(v *Table) { v.SetString("a", Int(2)); v.Clone().SetString("b", Nil) },
	} {
		shared := newShared()
		before, other := shared.View(), shared.View()
		other.MarkClean()
		write(shared.View())
		for _, view := range []*Table{before, other, shared, shared.View()} {
			if a := view.GetString("a"); a != Int(1) || view.Count() != 3 || view.Len() != 0 || view.Meta != nil {
				t.Errorf("%s: another view has %d elements, a is %s", name, view.Count(), Describe(a))
			}
		}
		if !other.IsClean() {
			t.Errorf("%s: another view is not clean", name)
		}
	}
}

// TestSharedTables checks that shared tables cannot be written to, and that only values without a state are shared.
func TestSharedTables(t *testing.T) {
	shared := newShared()
	for name, f := range map[string]func(){
		"Set":         func() { shared.SetString("a", Nil) },
		"SetInt":      func() { shared.SetInt(1, True) },
		"SetMeta":     func() { shared.SetMeta(nil) },
		"View":        func() { NewTable(0, 0).View() },
		"a view":      func() { Share(shared.View()) },
		"an array":    func() { Share(NewTable(1, 0)) },
		"a coroutine": func() { ShareValue(New(Limits{}).Main.Value()) },
		"an iterator": func() {
			ShareValue(NewIterator(func(*Thread) int { return 0 }, 1, Nil, Nil).Value())
		},
		"a Lua function": func() { ShareValue(NewFunction(&Proto{}, nil).Value()) },
	} {
		if !panics(f) {
			t.Errorf("%s: no panic", name)
		}
	}
	if !shared.IsClean() || shared.GetString("a") != Int(1) {
		t.Error("the shared table has changed")
	}
	shared.MarkClean()
	mt := NewTable(0, 1)
	mt.SetString("__index", Int(1))
	Share(mt)
	was := mt.absent
	for bit, name := range map[uint8]*text{absentIndex: indexName, absentNewIndex: newIndexName, absentEq: eqName} {
		mt.cachedMetamethod(bit, name)
	}
	if mt.absent != was || mt.cachedMetamethod(absentIndex, indexName) != Int(1) {
		t.Error("a read of a metamethod writes to a shared table")
	}
}

// TestSharedValuesAreNotCounted counts the memory of a view, which refers to shared values.
func TestSharedValuesAreNotCounted(t *testing.T) {
	vm := New(Limits{})
	empty := vm.Held(1 << 30)
	view := newShared().View()
	if got := vm.Held(1<<30, view.Value()) - empty; got != tableSize {
		t.Errorf("a view counts %d bytes, want %d", got, tableSize)
	}
	view.SetString("a", Int(2))
	if got, want := vm.Held(1<<30, view.Value())-empty, int64(view.Size()); got != want {
		t.Errorf("a changed view counts %d bytes, want %d", got, want)
	}
}

// TestRest checks that a VM at rest holds no stack, and that no value remains on the stack that the next VM gets.
func TestRest(t *testing.T) {
	p, err := Compile("test", "local function f(n) local a, b = {}, {} if n > 0 then f(n - 1) end return a end "+
		"return f(N), f(N), ...")
	if err != nil {
		t.Fatal(err)
	}
	for _, depth := range []int{0, 3, 1000} {
		vm := New(Limits{})
		vm.Main.env.SetString("N", Int(depth))
		for range 3 {
			vm.Clear()
			vm.Main.Push(NewFunction(p, vm.Main.env).Value())
			vm.Main.Push(True)
			if err := vm.Run(1, nil); err != nil {
				t.Fatal(err)
			}
			if got := vm.Main.Top(); got != 3 {
				t.Fatalf("%d results, want 3", got)
			}
			stack := vm.Main.stack
			vm.Rest()
			for i, v := range stack {
				if !v.IsNil() {
					t.Fatalf("depth %d: slot %d is %s", depth, i, Describe(v))
				}
			}
			if vm.Main.stack != nil || vm.Main.frames > restFrames {
				t.Errorf("a VM at rest has %d slots and %d frames", len(vm.Main.stack), vm.Main.frames)
			}
		}
		vm.Clear()
		vm.Main.Push(True) // and no run
		vm.Main.Push(True)
		vm.Main.SetTop(1)
		stack := vm.Main.stack
		vm.Rest()
		if vm.Rest(); !stack[1].IsNil() || !stack[2].IsNil() {
			t.Error("a value remains on a stack without a run")
		}
	}
}
