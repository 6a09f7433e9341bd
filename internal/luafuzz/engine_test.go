package luafuzz_test

import (
	"errors"
	"fmt"

	"github.com/hearthhost/hearth/internal/luafuzz"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
)

// engineSteps bounds one program. The programs of the generator end without a limit.
const engineSteps = 200_000_000

// programsPerVM bounds the effects of one program on later ones.
const programsPerVM = 100

var errSteps = errors.New("engine: out of steps")

// hearthEngine runs programs in the sandbox's VM with its libraries, under its meter.
type hearthEngine struct {
	prelude *lua.Proto
	vm      *lua.VM
	library *stdlib.Library
	runs    int // programs run by vm
}

func newEngine() (*hearthEngine, error) {
	lua.WriteAsPUC()
	p, err := lua.Compile("prelude", luafuzz.Prelude)
	return &hearthEngine{prelude: p}, err
}

// renew creates a VM.
func (e *hearthEngine) renew() {
	e.vm = lua.New(lua.Limits{})
	e.library = stdlib.New(e.vm, stdlib.Config{})
	e.runs = 0
}

// Run implements [luafuzz.Engine]. A panic of the VM is its trace.
func (e *hearthEngine) Run(source, chunkname string) (trace string) {
	defer func() {
		if v := recover(); v != nil {
			trace = fmt.Sprint("panic: ", v)
			e.vm = nil
		}
	}()
	if e.vm == nil || e.runs == programsPerVM {
		e.renew()
	}
	e.runs++
	vm, granted := e.vm, 0
	vm.Refill = func() (int64, error) {
		granted += 10_000
		if granted > engineSteps {
			return 0, errSteps
		}
		return 10_000, nil
	}
	trace, err := e.run(source, chunkname)
	if err != nil {
		e.vm = nil
		return "engine: " + err.Error()
	}
	return trace
}

// run runs the prelude in new globals, then the program.
func (e *hearthEngine) run(source, chunkname string) (string, error) {
	vm := e.vm
	defer vm.Clear()
	globals := e.library.Globals()
	vm.Main.SetGlobals(globals)
	vm.Main.Push(lua.NewFunction(e.prelude, globals).Value())
	if err := vm.Run(0, nil); err != nil {
		return "", err
	}
	run := vm.Main.Get(1)
	vm.Clear()
	vm.Main.Push(run)
	vm.Main.PushString(source)
	vm.Main.PushString(chunkname)
	if err := vm.Run(2, nil); err != nil {
		return "", err
	}
	trace, _ := vm.Main.Get(1).AsString()
	return trace, nil
}
