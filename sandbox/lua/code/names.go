package code

import "math"

// RegisterName finds the name of a value in a register before instruction pc. It returns the kind ("local", "global",
// "field", "upvalue" or "method") and the name, or "" and "".
//
// A register without a variable is traced back to the instruction that set it last. As in PUC, code that a forward jump
// skips counts as not run.
func (p *Proto) RegisterName(pc, reg int) (kind, name string) {
	for {
		if name := p.localName(pc, reg); name != "" {
			return "local", name
		}
		at := p.setter(pc, reg)
		if at < 0 {
			return "", ""
		}
		i := p.Code[at]
		switch i.Op() {
		case GetGlobal:
			return "global", p.Consts[i.D()].String
		case Move:
			if i.B() >= i.A() {
				return "", ""
			}
			pc, reg = at, i.B()
			continue
		case GetField:
			return "field", p.operandName(i.D())
		case GetConst:
			return p.constName(at)
		case GetIndex:
			return "field", "?"
		case GetUpval:
			return "upvalue", p.Upvals[i.B()]
		case Self:
			return "method", p.operandName(i.D())
		}
		return "", ""
	}
}

// constName names the element that the instruction GetConst at a position reads. It may be a global or a method with a
// long name.
func (p *Proto) constName(at int) (kind, name string) {
	i := p.Code[at]
	if p.Consts[i.D()].Kind != StringConst {
		return "field", "?"
	}
	if at > 0 {
		switch before := p.Code[at-1]; {
		case before.Op() == LoadEnv && before.A() == i.B():
			return "global", p.Consts[i.D()].String
		case before.Op() == Move && before.A() == i.B() && i.B() == i.A()+1:
			return "method", p.operandName(i.D())
		}
	}
	return "field", p.operandName(i.D())
}

// operandName returns a constant's name. PUC loads constants that do not fit an operand first, and loses their names.
func (p *Proto) operandName(i int) string {
	if i > math.MaxUint8 {
		return "?"
	}
	return p.Consts[i].String
}

// localName returns the name of the variable in a register, or "".
func (p *Proto) localName(pc, reg int) string {
	for i := range p.Locals {
		if l := &p.Locals[i]; l.Register == reg && l.Start <= pc && pc < l.End {
			return l.Name
		}
	}
	return ""
}

// setter returns the position of the last instruction before pc that set a register, or -1.
func (p *Proto) setter(pc, reg int) int {
	last := -1
	for at := 0; at < pc; at++ {
		i := p.Code[at]
		if i.sets(reg) {
			last = at
		}
		if i.Op().Jumps() {
			if to := at + 1 + i.D(); to > at && to <= pc {
				at = to - 1
			}
		}
	}
	return last
}

// sets reports whether an instruction may change a register. As in PUC a test counts: at its destination, the register
// can hold either of two values.
func (i Instr) sets(reg int) bool {
	a := i.A()
	switch i.Op() {
	case SetUpval, SetGlobal, SetField, SetConst, SetIndex, Jump, Eq, Lt, Le, EqK, LtK, LeK, KLt, KLe,
		Return, SetList, Close:
		return false
	case LoadNil:
		return a <= reg && reg <= i.B()
	case Self:
		return reg == a || reg == a+1
	case Call, TailCall:
		return reg >= a
	case ForIn:
		return reg >= a+2
	case ForPrep, ForLoop:
		return reg == a || reg == a+3
	case Vararg:
		return reg >= a && (i.B() == 0 || reg < a+i.B()-1)
	}
	return reg == a
}

// CallName returns the kind and name of the function that instruction pc calls, like [Proto.RegisterName], or "" and ""
// if pc is not a call.
func (p *Proto) CallName(pc int) (kind, name string) {
	if pc < 0 || pc >= len(p.Code) {
		return "", ""
	}
	switch i := p.Code[pc]; i.Op() {
	case Call, TailCall, ForIn:
		return p.RegisterName(pc, i.A())
	}
	return "", ""
}
