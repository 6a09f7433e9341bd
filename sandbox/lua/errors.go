package lua

import (
	"fmt"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua/code"
)

// throw raises a value without calling the handler.
func (L *Thread) throw(v Value) {
	L.vm.charge(throwSteps)
	L.vm.raised = &Error{Value: v}
	panic(L.vm.raised)
}

// Raise raises a value. It does not return.
func (L *Thread) Raise(v Value) {
	if h := L.handler; !h.IsNil() {
		if h.AsFunction() == nil {
			L.throw(String("error in error handling"))
		}
		v = L.callValue(h, v)
	}
	L.throw(v)
}

// RaiseError raises a message with the position of the caller of the running native function, as luaL_error does in
// PUC.
func (L *Thread) RaiseError(format string, args ...any) {
	L.Raise(L.message(L.Where(1), format, args...))
}

// RuntimeError raises a message with the position of the running function if it is a Lua function.
func (L *Thread) RuntimeError(format string, args ...any) {
	L.Raise(L.message(L.Where(0), format, args...))
}

func (L *Thread) message(where, format string, args ...any) Value {
	msg := fmt.Sprintf(format, args...)
	L.vm.charge(messageSteps)
	L.Allocate(textSize + len(where) + len(msg))
	return String(where + msg)
}

// level returns the frame of the call n levels below the running one. Calls that a tail call replaced count as levels.
// For them, and beyond the last level, the result is nil.
func (L *Thread) level(n int) *frame {
	ci := L.ci
	if n > 16 {
		L.vm.charge(min(n, L.depth) >> 2)
	}
	for ; n > 0 && ci.prev != nil; ci = ci.prev {
		n -= 1 + ci.tailCalls
	}
	if n != 0 || ci.prev == nil {
		return nil
	}
	return ci
}

// LevelExists reports whether there is a call n levels below the running one. Calls that a tail call replaced count.
func (L *Thread) LevelExists(n int) bool {
	ci := L.ci
	if n > 16 {
		L.vm.charge(min(n, L.depth) >> 2)
	}
	for ; n > 0 && ci.prev != nil; ci = ci.prev {
		n -= 1 + ci.tailCalls
	}
	return ci.prev != nil || n < 0
}

// Where returns the position of a call as "file:line: ", or "". level counts calls below the running one.
func (L *Thread) Where(level int) string {
	ci := L.level(level)
	if ci == nil {
		return ""
	}
	if line := ci.line(); line > 0 {
		return fmt.Sprintf("%s:%d: ", ci.fn.proto.Chunk, line)
	}
	return ""
}

// line returns the current line, or 0 in a native function.
func (ci *frame) line() int {
	if ci.fn == nil || ci.fn.proto == nil {
		return 0
	}
	return int(ci.fn.proto.Lines[max(ci.pc-1, 0)])
}

// callName returns the kind of name and the name by which a frame was called, or "" and "".
func (L *Thread) callName(ci *frame) (kind, name string) {
	caller := ci.prev
	if ci.tailCalls > 0 || caller == nil || caller.fn == nil || caller.fn.proto == nil {
		return "", ""
	}
	L.chargeNames(caller)
	return caller.fn.proto.CallName(caller.pc - 1)
}

// Last reports whether the function of the run calls the running native function last: the results of the native
// function are those of the run.
func (L *Thread) Last() bool {
	caller := L.ci.prev
	if caller == nil || caller.fn == nil || caller.fn.proto == nil || caller.prev == nil || caller.prev.prev != nil {
		return false
	}
	return L == L.vm.Main && caller.fn.proto.code[max(caller.pc-1, 0)].Op() == code.TailCall
}

// Level describes a running function.
type Level struct {
	Fn        *Function
	Line      int // current line; 0 in a native function
	Kind      string
	Name      string // name by which it was called
	TailCalls int
}

// Level describes the function n calls below the running one. A call that a tail call replaced has no Fn. In a
// suspended coroutine, level 0 is yield. A coroutine that ended by an error keeps its levels.
func (L *Thread) Level(n int) (l Level, ok bool) {
	if L.waits() {
		if n == 0 {
			return L.yieldLevel(), true
		}
		n--
	}
	if !L.LevelExists(n) {
		return Level{}, false
	}
	ci := L.level(n)
	if ci == nil {
		return Level{}, true
	}
	l = Level{Fn: ci.fn, Line: ci.line(), TailCalls: ci.tailCalls}
	l.Kind, l.Name = L.callName(ci)
	return l, true
}

// variable describes the value in a register of the running function, as " local 'x'" does.
func (L *Thread) variable(reg int) string {
	ci := L.ci
	if reg < 0 || ci.fn == nil || ci.fn.proto == nil || reg >= ci.fn.proto.registers {
		return ""
	}
	L.chargeNames(ci)
	kind, name := ci.fn.proto.RegisterName(ci.pc-1, reg)
	if kind == "" {
		return ""
	}
	return kind + " '" + shortName(name) + "'"
}

// chargeNames charges for finding a name, which reads the code up to the current instruction.
func (L *Thread) chargeNames(ci *frame) {
	if p := ci.fn.proto; p != nil {
		L.vm.charge((ci.pc + len(p.Locals)) >> 2)
	}
}

// shortName returns a name for a message: up to its first zero byte, as in C, and shortened, because scripts choose its
// length.
func shortName(name string) string {
	name, _, _ = strings.Cut(name, "\x00")
	if len(name) > 200 {
		return name[:200] + "..."
	}
	return name
}

// typeError raises an error about an operation on a value of the wrong type. reg is the register of the value, or
// negative.
func (L *Thread) typeError(v Value, op string, reg int) {
	if name := L.variable(reg); name != "" {
		L.RuntimeError("attempt to %s %s (a %s value)", op, name, v.Kind())
	}
	L.RuntimeError("attempt to %s a %s value", op, v.Kind())
}

// arithError raises an error about arithmetic on two values, one of which is not a number.
func (L *Thread) arithError(a, b Value, aReg, bReg int) {
	if _, ok := L.toNumber(a); ok {
		a, aReg = b, bReg
	}
	L.typeError(a, "perform arithmetic on", aReg)
}

func (L *Thread) concatError(a, b Value, aReg, bReg int) {
	if k := a.Kind(); k == StringKind || k == NumberKind {
		a, aReg = b, bReg
	}
	L.typeError(a, "concatenate", aReg)
}

func (L *Thread) orderError(a, b Value) {
	if a.Kind() == b.Kind() {
		L.RuntimeError("attempt to compare two %s values", a.Kind())
	}
	L.RuntimeError("attempt to compare %s with %s", a.Kind(), b.Kind())
}

// Traceback appends the running functions of a thread to a message, as debug.traceback does in PUC.
func (L *Thread) Traceback(message string, level int) string {
	const first, last = 12, 10
	var b strings.Builder
	b.WriteString(message)
	b.WriteString("stack traceback:")
	total := 0
	if L.waits() {
		total = 1
	}
	for ci := L.ci; ci != nil && ci.prev != nil; ci = ci.prev {
		total += 1 + ci.tailCalls
	}
	L.vm.charge(traceSteps + L.depth>>2)
	for n := max(level, 0); n < total; n++ {
		L.vm.charge(traceSteps)
		if n == level+first && total-n > last {
			b.WriteString("\n\t...")
			n = total - last
		}
		l, _ := L.Level(n)
		b.WriteString("\n\t" + l.text())
	}
	return b.String()
}

// waits reports whether a coroutine has yielded. Its call of yield has no frame.
func (L *Thread) waits() bool { return L.status == suspended && L.begun }

// yieldLevel describes the call of yield in a suspended coroutine.
func (L *Thread) yieldLevel() Level {
	l := Level{Fn: L.pending.fn}
	if ci := L.ci; ci.fn != nil && ci.fn.proto != nil {
		L.chargeNames(ci)
		l.Kind, l.Name = ci.fn.proto.CallName(ci.pc - 1)
	}
	return l
}

// text formats a level as a line of a traceback.
func (l *Level) text() string {
	if l.Fn == nil {
		return "(tail call): ?"
	}
	p := l.Fn.proto
	at := "[C]:"
	if p != nil {
		at = p.Chunk + ":"
		if l.Line > 0 {
			at += fmt.Sprintf("%d:", l.Line)
		}
	}
	switch {
	case l.Name != "":
		return fmt.Sprintf("%s in function '%s'", at, shortName(l.Name))
	case p == nil:
		return at + " ?"
	case p.Line == 0:
		return at + " in main chunk"
	}
	return fmt.Sprintf("%s in function <%s:%d>", at, p.Chunk, p.Line)
}
