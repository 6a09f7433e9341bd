package lua

import (
	"github.com/hearthhost/hearth/sandbox/lua/arith"
	"github.com/hearthhost/hearth/sandbox/lua/code"
)

// execute runs the Lua function of the running frame and the functions that it calls. It returns when a fresh frame
// returns, or with true when a native function yields.
//
// The loop holds its state in local variables. pc is written to the frame before any operation that can raise an error
// or call. The registers are fetched again after any operation that can call, because the stack may have moved.
func (L *Thread) execute() (yields bool) {
	vm := L.vm
enter:
	ci := L.ci
	fn := ci.fn
	p := fn.proto
	instrs, k := p.code, p.consts
	base := ci.base
	r := (*[window]Value)(L.stack[base:])
	pc := ci.pc
	for {
		i := instrs[pc]
		pc++
		vm.fuel--
		if vm.fuel < 0 {
			ci.pc = pc
			vm.refill()
		}
		a := uint8(i >> 8)
		switch code.Op(i) {
		case code.Move:
			r[a] = r[uint8(i>>16)]
		case code.LoadK:
			r[a] = k[i>>32]
		case code.LoadNil:
			clear(r[a : int(uint8(i>>16))+1])
		case code.LoadBool:
			r[a] = Bool(uint8(i>>16) != 0)
			if uint8(i>>24) != 0 {
				pc++
			}
		case code.GetUpval:
			r[a] = *fn.upvals[uint8(i>>16)].v
		case code.SetUpval:
			*fn.upvals[uint8(i>>16)].v = r[a]
		case code.LoadEnv:
			r[a] = fn.Env.Value()
		case code.GetGlobal:
			key := k[i>>32]
			if e := fn.Env.findText(key.text()); e != nil && e.value.ref != nil {
				r[a] = e.value
				continue
			}
			ci.pc = pc
			v := L.index(fn.Env.Value(), key, -1)
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.SetGlobal:
			ci.pc = pc
			L.setIndex(fn.Env.Value(), k[i>>32], r[a], -1)
			r = (*[window]Value)(L.stack[base:])
		case code.GetField:
			b := r[uint8(i>>16)]
			key := k[i>>32]
			if b.ref != nil && *(*Kind)(b.ref) == TableKind {
				t := (*Table)(b.ref)
				if e := t.findText(key.text()); e != nil && e.value.ref != nil {
					r[a] = e.value
					continue
				}
				if t.Meta == nil {
					r[a] = Nil
					continue
				}
			}
			ci.pc = pc
			v := L.index(b, key, int(uint8(i>>16)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.GetConst:
			ci.pc = pc
			v := L.index(r[uint8(i>>16)], k[i>>32], int(uint8(i>>16)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.GetIndex:
			b, key := r[uint8(i>>16)], r[uint8(i>>24)]
			if b.ref != nil && *(*Kind)(b.ref) == TableKind && key.IsNumber() {
				t := (*Table)(b.ref)
				f := key.number()
				if n := int(f); float64(n) == f && uint(n-1) < uint(len(t.array)) {
					if v := t.array[n-1]; v.ref != nil {
						r[a] = v
						continue
					}
				}
			}
			ci.pc = pc
			v := L.index(b, key, int(uint8(i>>16)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.SetField:
			b, key := r[a], k[i>>32]
			if b.ref != nil && *(*Kind)(b.ref) == TableKind {
				t := (*Table)(b.ref)
				if e := t.findText(key.text()); e != nil && e.value.ref != nil && t.sharing == ownTable {
					v := r[uint8(i>>24)]
					t.absent = 0
					if v.ref == nil {
						t.dead++
					}
					e.value = v
					continue
				}
			}
			ci.pc = pc
			L.setIndex(b, key, r[uint8(i>>24)], int(a))
			r = (*[window]Value)(L.stack[base:])
		case code.SetConst:
			ci.pc = pc
			L.setIndex(r[a], k[i>>32], r[uint8(i>>24)], int(a))
			r = (*[window]Value)(L.stack[base:])
		case code.SetIndex:
			b, key := r[a], r[uint8(i>>16)]
			if b.ref != nil && *(*Kind)(b.ref) == TableKind && key.IsNumber() {
				t := (*Table)(b.ref)
				f := key.number()
				if n := int(f); float64(n) == f && uint(n-1) < uint(len(t.array)) {
					if e := &t.array[n-1]; t.Meta == nil || e.ref != nil {
						t.absent = 0
						*e = r[uint8(i>>24)]
						continue
					}
				}
			}
			ci.pc = pc
			L.setIndex(b, key, r[uint8(i>>24)], int(a))
			r = (*[window]Value)(L.stack[base:])
		case code.NewTable:
			array, hash := code.Size(int(uint8(i>>16))), code.Size(int(uint8(i>>24)))
			ci.pc = pc
			L.Allocate(tableSize + array*valueSize + hash*entrySize)
			r[a] = NewTable(array, hash).Value()
		case code.Self:
			b := r[uint8(i>>16)]
			key := k[i>>32]
			r[a+1] = b
			if b.ref != nil && *(*Kind)(b.ref) == TableKind {
				if v := (*Table)(b.ref).method(key.text()); v.ref != nil {
					r[a] = v
					continue
				}
			}
			ci.pc = pc
			v := L.index(b, key, int(uint8(i>>16)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v

		case code.AddV:
			b, c := &r[uint8(i>>16)], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(arith.Sum(x, y))
				continue
			}
			ci.pc = pc
			v := L.arith(code.AddV, *b, *c, int(uint8(i>>16)), int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.SubV:
			b, c := &r[uint8(i>>16)], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(x - y)
				continue
			}
			ci.pc = pc
			v := L.arith(code.SubV, *b, *c, int(uint8(i>>16)), int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.MulV:
			b, c := &r[uint8(i>>16)], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(arith.Product(x, y))
				continue
			}
			ci.pc = pc
			v := L.arith(code.MulV, *b, *c, int(uint8(i>>16)), int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.DivV:
			b, c := &r[uint8(i>>16)], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(x / y)
				continue
			}
			ci.pc = pc
			v := L.arith(code.DivV, *b, *c, int(uint8(i>>16)), int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.ModV:
			b, c := &r[uint8(i>>16)], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(arith.Modulo(x, y))
				continue
			}
			ci.pc = pc
			v := L.arith(code.ModV, *b, *c, int(uint8(i>>16)), int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.PowV:
			b, c := &r[uint8(i>>16)], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				ci.pc = pc
				r[a] = Number(L.power(x, y))
				continue
			}
			ci.pc = pc
			v := L.arith(code.PowV, *b, *c, int(uint8(i>>16)), int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.AddK:
			b, c := &r[uint8(i>>16)], &k[i>>32]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(x + y)
				continue
			}
			ci.pc = pc
			v := L.arith(code.AddV, *b, *c, int(uint8(i>>16)), -1)
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.SubK:
			b, c := &r[uint8(i>>16)], &k[i>>32]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(x - y)
				continue
			}
			ci.pc = pc
			v := L.arith(code.SubV, *b, *c, int(uint8(i>>16)), -1)
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.MulK:
			b, c := &r[uint8(i>>16)], &k[i>>32]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(x * y)
				continue
			}
			ci.pc = pc
			v := L.arith(code.MulV, *b, *c, int(uint8(i>>16)), -1)
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.DivK:
			b, c := &r[uint8(i>>16)], &k[i>>32]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(x / y)
				continue
			}
			ci.pc = pc
			v := L.arith(code.DivV, *b, *c, int(uint8(i>>16)), -1)
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.ModK:
			b, c := &r[uint8(i>>16)], &k[i>>32]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(arith.Modulo(x, y))
				continue
			}
			ci.pc = pc
			v := L.arith(code.ModV, *b, *c, int(uint8(i>>16)), -1)
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.PowK:
			b, c := &r[uint8(i>>16)], &k[i>>32]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				ci.pc = pc
				r[a] = Number(L.power(x, y))
				continue
			}
			ci.pc = pc
			v := L.arith(code.PowV, *b, *c, int(uint8(i>>16)), -1)
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.KAdd:
			b, c := &k[i>>32], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(x + y)
				continue
			}
			ci.pc = pc
			v := L.arith(code.AddV, *b, *c, -1, int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.KSub:
			b, c := &k[i>>32], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(x - y)
				continue
			}
			ci.pc = pc
			v := L.arith(code.SubV, *b, *c, -1, int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.KMul:
			b, c := &k[i>>32], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(x * y)
				continue
			}
			ci.pc = pc
			v := L.arith(code.MulV, *b, *c, -1, int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.KDiv:
			b, c := &k[i>>32], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(x / y)
				continue
			}
			ci.pc = pc
			v := L.arith(code.DivV, *b, *c, -1, int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.KMod:
			b, c := &k[i>>32], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				r[a] = Number(arith.Modulo(x, y))
				continue
			}
			ci.pc = pc
			v := L.arith(code.ModV, *b, *c, -1, int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.KPow:
			b, c := &k[i>>32], &r[uint8(i>>24)]
			if b.IsNumber() && c.IsNumber() {
				x, y := b.number(), c.number()
				ci.pc = pc
				r[a] = Number(L.power(x, y))
				continue
			}
			ci.pc = pc
			v := L.arith(code.PowV, *b, *c, -1, int(uint8(i>>24)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.Unm:
			b := &r[uint8(i>>16)]
			if b.IsNumber() {
				r[a] = Number(-b.number())
				continue
			}
			ci.pc = pc
			v := L.negate(*b, int(uint8(i>>16)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.Not:
			r[a] = Bool(!r[uint8(i>>16)].Truth())
		case code.Len:
			ci.pc = pc
			v := L.length(r[uint8(i>>16)], int(uint8(i>>16)))
			r = (*[window]Value)(L.stack[base:])
			r[a] = v
		case code.Concat:
			b, c := int(uint8(i>>16)), int(uint8(i>>24))
			ci.pc = pc
			L.concat(base+b, base+c)
			r = (*[window]Value)(L.stack[base:])
			r[a] = r[b]

		case code.Jump:
			pc += int(int32(i >> 32))
		case code.Eq:
			b, c := &r[uint8(i>>16)], &r[uint8(i>>24)]
			var equal bool
			switch {
			case b.IsNumber() && c.IsNumber():
				equal = b.number() == c.number()
			case *b == *c:
				equal = true
			default:
				ci.pc = pc
				equal = L.equal(*b, *c)
				r = (*[window]Value)(L.stack[base:])
			}
			if equal == (a != 0) {
				pc += int(int32(i >> 32))
			}
		case code.EqK:
			b, c := &r[uint8(i>>16)], &k[uint8(i>>24)]
			equal := *b == *c
			if !equal && b.ref != nil && c.ref != nil && *(*Kind)(b.ref) == *(*Kind)(c.ref) {
				ci.pc = pc
				equal = L.equal(*b, *c) // a number or a string: no metamethod is called
			}
			if equal == (a != 0) {
				pc += int(int32(i >> 32))
			}
		case code.Lt:
			b, c := &r[uint8(i>>16)], &r[uint8(i>>24)]
			var less bool
			if b.IsNumber() && c.IsNumber() {
				less = b.number() < c.number()
			} else {
				ci.pc = pc
				less = L.less(*b, *c)
				r = (*[window]Value)(L.stack[base:])
			}
			if less == (a != 0) {
				pc += int(int32(i >> 32))
			}
		case code.Le:
			b, c := &r[uint8(i>>16)], &r[uint8(i>>24)]
			var less bool
			if b.IsNumber() && c.IsNumber() {
				less = b.number() <= c.number()
			} else {
				ci.pc = pc
				less = L.lessEqual(*b, *c)
				r = (*[window]Value)(L.stack[base:])
			}
			if less == (a != 0) {
				pc += int(int32(i >> 32))
			}
		case code.LtK:
			b, c := &r[uint8(i>>16)], &k[uint8(i>>24)]
			var less bool
			if b.IsNumber() && c.IsNumber() {
				less = b.number() < c.number()
			} else {
				ci.pc = pc
				less = L.less(*b, *c)
				r = (*[window]Value)(L.stack[base:])
			}
			if less == (a != 0) {
				pc += int(int32(i >> 32))
			}
		case code.LeK:
			b, c := &r[uint8(i>>16)], &k[uint8(i>>24)]
			var less bool
			if b.IsNumber() && c.IsNumber() {
				less = b.number() <= c.number()
			} else {
				ci.pc = pc
				less = L.lessEqual(*b, *c)
				r = (*[window]Value)(L.stack[base:])
			}
			if less == (a != 0) {
				pc += int(int32(i >> 32))
			}
		case code.KLt:
			b, c := &k[uint8(i>>24)], &r[uint8(i>>16)]
			var less bool
			if b.IsNumber() && c.IsNumber() {
				less = b.number() < c.number()
			} else {
				ci.pc = pc
				less = L.less(*b, *c)
				r = (*[window]Value)(L.stack[base:])
			}
			if less == (a != 0) {
				pc += int(int32(i >> 32))
			}
		case code.KLe:
			b, c := &k[uint8(i>>24)], &r[uint8(i>>16)]
			var less bool
			if b.IsNumber() && c.IsNumber() {
				less = b.number() <= c.number()
			} else {
				ci.pc = pc
				less = L.lessEqual(*b, *c)
				r = (*[window]Value)(L.stack[base:])
			}
			if less == (a != 0) {
				pc += int(int32(i >> 32))
			}
		case code.Test:
			if r[a].Truth() == (uint8(i>>24) != 0) {
				pc += int(int32(i >> 32))
			}
		case code.TestSet:
			if b := r[uint8(i>>16)]; b.Truth() == (uint8(i>>24) != 0) {
				r[a] = b
				pc += int(int32(i >> 32))
			}

		case code.Call:
			at := base + int(a)
			if b := int(uint8(i >> 16)); b != 0 {
				L.top = at + b
			}
			nresults := int(uint8(i>>24)) - 1
			ci.pc = pc
			f := L.stack[at].AsFunction()
			if f == nil {
				f = L.callable(at)
			}
			if f.proto != nil {
				// The usual case of begin, inlined: no extra arguments, and room on the stack.
				next := ci.next
				if callee := f.proto; next != nil && !callee.vararg && at+1+callee.registers+window <= len(L.stack) &&
					L.depth < vm.limits.Depth {
					fn = f
					p = callee
					base = at + 1
					if missing := base + p.params - L.top; missing > 0 {
						clear(L.stack[L.top : base+p.params])
					}
					next.fn = f
					next.slot = at
					next.base = base
					next.nresults = nresults
					next.tailCalls = 0
					next.fresh = false
					L.ci = next
					L.depth++
					ci = next
					instrs, k = p.code, p.consts
					r = (*[window]Value)(L.stack[base:])
					pc = 0
					continue
				}
				L.begin(f, at, nresults)
				goto enter
			}
			if L.native(f, at, nresults) {
				return true
			}
			r = (*[window]Value)(L.stack[base:])
		case code.TailCall:
			at := base + int(a)
			if b := int(uint8(i >> 16)); b != 0 {
				L.top = at + b
			}
			ci.pc = pc
			f := L.stack[at].AsFunction()
			if f == nil {
				f = L.callable(at)
			}
			if f.proto != nil {
				L.replace(f, at)
				goto enter
			}
			if L.native(f, at, -1) {
				return true
			}
			r = (*[window]Value)(L.stack[base:])
		case code.Return:
			from := base + int(a)
			n := int(uint8(i>>16)) - 1
			if n < 0 {
				n = L.top - from
			}
			if n > window {
				vm.charge(n >> 3)
			}
			if L.open != nil {
				L.closeUpvals(base)
			}
			at, nresults := ci.slot, ci.nresults
			switch {
			case nresults == 1 && n > 0:
				L.stack[at] = L.stack[from]
			case nresults < 0:
				copy(L.stack[at:], L.stack[from:from+n])
				L.top = at + n
			default:
				if n > nresults {
					n = nresults
				}
				copy(L.stack[at:], L.stack[from:from+n])
				clear(L.stack[at+n : at+nresults])
			}
			fresh := ci.fresh
			L.leave()
			if fresh {
				if nresults >= 0 {
					L.top = at + nresults
				}
				return false
			}
			goto enter

		case code.ForPrep:
			ci.pc = pc
			L.prepareLoop(r[a : int(a)+3])
			r[a] = Number(r[a].number() - r[a+2].number())
			pc += int(int32(i >> 32))
		case code.ForLoop:
			step := r[a+2].number()
			n := r[a].number() + step
			limit := r[a+1].number()
			if step > 0 && n <= limit || step <= 0 && limit <= n {
				r[a] = Number(n)
				r[a+3] = Number(n)
				pc += int(int32(i >> 32))
			}
		case code.ForIn:
			ci.pc = pc
			at, c := base+int(a), int(uint8(i>>24))
			if f := L.stack[at].AsFunction(); f != nil && f == vm.next && r[a+1].Kind() == TableKind {
				k, v := L.nextElement((*Table)(r[a+1].ref), r[a+2])
				r[a+3], r[a+4] = k, v
				if c > 2 {
					clear(L.stack[at+5 : at+3+c])
				}
			} else {
				copy(L.stack[at+3:at+6], L.stack[at:at+3])
				L.top = at + 6
				L.call(at+3, c)
				r = (*[window]Value)(L.stack[base:])
			}
			if v := r[a+3]; v.ref != nil {
				r[a+2] = v
				pc += int(int32(i >> 32))
			}
		case code.SetList:
			n := int(uint8(i >> 16))
			if n == 0 {
				n = L.top - base - int(a) - 1
			}
			ci.pc = pc
			L.setList((*Table)(r[a].ref), base+int(a)+1, n, int(int32(i>>32)))
		case code.Close:
			L.closeUpvals(base + int(a))
		case code.Closure:
			ci.pc = pc
			r[a] = L.closure(p.protos[i>>32], fn, base).Value()
		case code.Vararg:
			n := base - ci.slot - 1 - p.params // the extra arguments are between the function and its registers
			nresults := int(uint8(i>>16)) - 1
			from := base - n
			if n < 0 {
				n, from = 0, base
			}
			to := base + int(a)
			if nresults < 0 {
				nresults = n
				ci.pc = pc
				vm.charge(n >> 2)
				L.reserve(to + n)
				r = (*[window]Value)(L.stack[base:])
				L.top = to + n
			}
			n = min(n, nresults)
			copy(L.stack[to:], L.stack[from:from+n])
			clear(L.stack[to+n : to+nresults])
		}
	}
}

// replace moves a function that is called last into the frame of its caller.
func (L *Thread) replace(fn *Function, at int) {
	ci := L.ci
	if L.open != nil {
		L.closeUpvals(ci.base)
	}
	n := copy(L.stack[ci.slot:], L.stack[at:L.top])
	L.top = ci.slot + n
	tails, fresh := ci.tailCalls+1, ci.fresh
	to, nresults := ci.slot, ci.nresults
	L.leave()
	ci = L.begin(fn, to, nresults)
	ci.tailCalls, ci.fresh = tails, fresh
}
