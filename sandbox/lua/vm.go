// Package lua runs Lua 5.1 under a meter.
//
// It behaves as PUC Lua 5.1.5 does, error messages included. doc/lua.md lists the intended differences. A [VM] is one
// Lua state, used by one goroutine at a time. [Proto] values are immutable and shared.
//
// Every instruction costs one step. An operation that takes time in proportion to its operands charges for it:
// [Thread.Charge]. When the granted steps are used up, the VM calls [VM.Refill], which grants more or ends the run. So
// the time between two calls of Refill is bounded for all operands. A script cannot catch the end of its run, and the
// VM cannot be used after it.
//
// Memory is counted as it is allocated: [VM.Allocated]. The count never decreases. [VM.Held] finds the memory in use.
package lua

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/hearthhost/hearth/sandbox/lua/code"
	"github.com/hearthhost/hearth/sandbox/lua/syntax"
)

// VM is one Lua state: its main thread, its coroutines and their shared data.
type VM struct {
	// Refill is called when the granted steps are used up. It returns a number of further steps, or an error that ends
	// the run. Without Refill, runs are not limited.
	Refill func() (steps int64, err error)
	// Allocated is the number of bytes that were allocated for the script's values so far.
	Allocated int64

	Main       *Thread
	StringMeta *Table // of all strings
	// Library and Host belong to the owners of native functions, which several VMs share: by them such a function finds
	// its state in this VM. Library is that of the standard library, Host that of the owner of the VM.
	Library, Host any

	next         *Function // the function next, which loops do not call
	fuel         int64     // remaining steps
	grantedSteps int64     // steps that Refill has granted in all
	calls        int       // nesting depth of Go calls
	epoch        uint16    // of the last walk
	current      *Thread   // the running one
	raised       *Error    // value that is being raised
	buffers      int64     // bytes that running native functions hold, see [Thread.Buffer]
	killed       error     // reason for the end of the run
	ran          bool      // since the last Clear
	noticer      *Function // handler that calls notice; created once
	notice       func(L *Thread, v Value) string
	trace        string // result of notice
	limits       Limits
}

// Limits bound a VM. Zero fields mean the defaults.
type Limits struct {
	Depth int // nested Lua calls of one coroutine; default 20000
	Stack int // slots of a coroutine's stack; default 1000000
}

const (
	maxCalls     = 200 // nested Go calls, as in PUC
	defaultDepth = 20000
	overflowRoom = 200 // calls above the limit, after a stack overflow
	defaultStack = 1_000_000
	minStack     = 20  // slots that a native function may push without Reserve
	window       = 256 // slots that must exist above a function's first register
)

// New returns a VM without globals.
func New(l Limits) *VM {
	if l.Depth == 0 {
		l.Depth = defaultDepth
	}
	if l.Stack == 0 {
		l.Stack = defaultStack
	}
	vm := &VM{limits: l}
	vm.Main = vm.newThread(NewTable(0, 0))
	vm.Main.status = running
	vm.current = vm.Main
	return vm
}

// Steps returns the steps that were taken so far.
func (vm *VM) Steps() int64 { return vm.grantedSteps - vm.fuel }

// Pause makes the next instruction call Refill. It must be called from the goroutine of the VM.
func (vm *VM) Pause() {
	vm.grantedSteps -= vm.fuel
	vm.fuel = 0
}

// Kill ends the run, now or as soon as an instruction or a charge is due.
func (vm *VM) Kill(why error) {
	if vm.killed == nil {
		vm.killed = why
	}
	vm.Pause()
}

// Revive makes a VM usable after its run was ended. Its values are as the run left them.
func (vm *VM) Revive() {
	vm.killed = nil
	vm.Clear()
}

// Killed returns the reason for the end of the run, or nil.
func (vm *VM) Killed() error { return vm.killed }

// killedPanic is the panic that ends a run. Protected calls do not catch it.
type killedPanic struct{}

// refill gets more steps, or ends the run.
func (vm *VM) refill() {
	if vm.killed == nil && vm.Refill != nil {
		n, err := vm.Refill()
		if err == nil {
			vm.grantedSteps += n - vm.fuel
			vm.fuel = n
			return
		}
		vm.killed = err
	}
	if vm.killed == nil {
		vm.grantedSteps += 1 << 20
		vm.fuel += 1 << 20
		return
	}
	panic(killedPanic{})
}

// Spend takes steps for work of the host outside a run of the script. Unlike [Thread.Charge] it does not end a run: the
// host checks its limits.
func (vm *VM) Spend(steps int) { vm.fuel -= int64(steps) }

// charge takes steps for work that is about to be done.
func (vm *VM) charge(steps int) {
	vm.fuel -= int64(steps)
	if vm.fuel < 0 {
		vm.refill()
	}
}

// Error is a raised value.
type Error struct {
	Value Value
	// Trace is the result of the notice of [VM.Run] where the value was raised.
	Trace string
}

// Error returns the text of a string or a number, and otherwise the type.
func (e *Error) Error() string {
	if s, ok := e.Value.ToString(); ok {
		return s
	}
	return fmt.Sprintf("(error object is a %s value)", e.Value.Kind())
}

// Proto is a compiled function that is ready to run. It is immutable and may be used by any number of VMs.
type Proto struct {
	*code.Proto

	code      []code.Instr
	consts    []Value
	protos    []*Proto
	registers int
	params    int
	vararg    bool
	size      int // size in bytes, nested functions included
	ownSize   int // size without nested functions

	private bool   // compiled by one VM for itself, and counted there
	mark    uint16 // epoch of the last walk that found it
}

// Size returns the size of the compiled function in bytes.
func (p *Proto) Size() int { return p.size }

// Private reports whether a script has compiled the function, with [Thread.Compile].
func (p *Proto) Private() bool { return p.private }

// Instructions returns the number of its instructions, nested functions included.
func (p *Proto) Instructions() int {
	n := len(p.code)
	for _, inner := range p.protos {
		n += inner.Instructions()
	}
	return n
}

// maxFieldName is the length up to which finding a string key is not charged for.
const maxFieldName = code.MaxName

// SyntaxError is an error of [Compile].
type SyntaxError = syntax.Error

// Compile compiles source. chunk is its name in messages. The error is a *SyntaxError.
func Compile(chunk, source string) (*Proto, error) {
	if len(source) > largeSource {
		compiling.Lock()
		defer compiling.Unlock()
	}
	return compile(chunk, source, false)
}

// compiling is held while a large source is compiled. Compilation takes some 100 times the size of the source, so the
// process would not have memory for several at once.
var compiling sync.Mutex

// largeSource is the size in bytes from which on sources are compiled one at a time.
const largeSource = 16 << 10

// Compile compiles source for this VM alone: the code counts as memory in use. A large source waits for those of other
// VMs, and the wait is charged for.
func (L *Thread) Compile(chunk, source string) (*Proto, error) {
	if len(source) > largeSource {
		for !compiling.TryLock() {
			L.vm.charge(waitSteps)
			runtime.Gosched()
		}
		defer compiling.Unlock()
		L.Buffer(parsedSize * len(source))
	}
	return compile(chunk, source, true)
}

const (
	parsedSize = 16   // usual number of bytes that compiling takes per byte of source
	waitSteps  = 1000 // one interval of waiting
)

func compile(chunk, source string, private bool) (*Proto, error) {
	main, err := syntax.Parse(chunk, source)
	if err != nil {
		return nil, err
	}
	p, err := code.Compile(chunk, main)
	if err != nil {
		return nil, err
	}
	l := linker{known: map[string]Value{}, private: private}
	return l.link(p), nil
}

// Unfinished reports whether Compile failed because the source ended too early.
func Unfinished(err error) bool {
	var e *syntax.Error
	return errors.As(err, &e) && e.Unfinished
}

// linker makes compiled code ready to run.
type linker struct {
	known   map[string]Value // equal strings of one chunk become one object
	private bool
}

// text returns a string of the chunk. It is a copy, because the compiler's string is part of the source and would
// retain all of it. A string of a private chunk may outlive it, and counts where it is found.
func (l *linker) text(s string) Value {
	if v, ok := common[s]; ok {
		return v
	}
	v, ok := l.known[s]
	if !ok {
		s = strings.Clone(s)
		v = SharedString(s)
		if l.private {
			v = String(s)
		}
		l.known[s] = v
	}
	return v
}

func (l *linker) name(s *string) { *s = l.text(*s).text().s }

// link converts the constants to values.
func (l *linker) link(p *code.Proto) *Proto {
	out := &Proto{
		Proto: p, code: p.Code, registers: p.Registers, params: p.Params, vararg: p.Vararg,
		consts: make([]Value, len(p.Consts)), protos: make([]*Proto, len(p.Protos)), private: l.private,
	}
	out.size = 400 + 12*len(p.Code) + 56*len(p.Consts) + 56*len(p.Locals) + 40*len(p.Captures)
	for i, c := range p.Consts {
		switch c.Kind {
		case code.FalseConst:
			out.consts[i] = False
		case code.TrueConst:
			out.consts[i] = True
		case code.NumberConst:
			out.consts[i] = Number(c.Number)
		case code.StringConst:
			if !l.private {
				out.size += textSize + len(c.String)
			}
			out.consts[i] = l.text(c.String)
			p.Consts[i].String = out.consts[i].text().s
		}
	}
	for i := range p.Locals {
		l.name(&p.Locals[i].Name)
		out.size += len(p.Locals[i].Name)
	}
	for i := range p.Upvals {
		l.name(&p.Upvals[i])
		out.size += len(p.Upvals[i])
	}
	out.ownSize = out.size
	for i, inner := range p.Protos {
		out.protos[i] = l.link(inner)
		out.size += out.protos[i].size
	}
	return out
}

// Function is a closure of Lua code, or a native function.
type Function struct {
	kind   Kind
	shared bool // shared by several VMs: immutable
	mark   uint16
	Env    *Table // the globals
	proto  *Proto
	upvals []*upval
	native Native
	state  *iterator // of a native function with a state
}

// iterator is the state of a native function.
type iterator struct {
	refs [2]Value
	size int
}

// Native is a function of the host. It reads its arguments with [Thread.Get] and related methods, pushes its results
// and returns their number.
type Native func(L *Thread) int

// upval is a variable that several functions share. It is on the stack as long as its function runs.
type upval struct {
	v      *Value
	closed Value
	index  int // on the stack
	next   *upval
}

// NewFunction returns a closure of a chunk, which has no upvalues.
func NewFunction(p *Proto, env *Table) *Function {
	return &Function{kind: FunctionKind, Env: env, proto: p}
}

// NewNative returns a native function.
func NewNative(f Native) *Function { return &Function{kind: FunctionKind, native: f} }

// NewIterator returns a native function with a state of size bytes. a and b are values that the state refers to: they
// count as in use as long as the function does.
func NewIterator(f Native, size int, a, b Value) *Function {
	return &Function{kind: FunctionKind, native: f, state: &iterator{[2]Value{a, b}, size}}
}

// Stateful reports whether a native function has a state.
func (f *Function) Stateful() bool { return f.state != nil }

// Proto returns the code of a Lua function, or nil for a native one.
func (f *Function) Proto() *Proto { return f.proto }

// Upvalues returns the number of upvalues.
func (f *Function) Upvalues() int { return len(f.upvals) }

// Upvalue returns the value of upvalue i, counted from 0.
func (f *Function) Upvalue(i int) Value { return *f.upvals[i].v }

const (
	functionSize = 72
	upvalSize    = 56
	textSize     = 40
)
