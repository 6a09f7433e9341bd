package luafuzz_test

import (
	"errors"
	"fmt"

	"github.com/hearthhost/hearth/internal/luafuzz"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
)

// engineSteps bounds one program; the programs of the generator end by themselves.
const engineSteps = 20_000_000

var errSteps = errors.New("engine: out of steps")

// hearthEngine runs programs in the sandbox's VM with its libraries, under its meter.
type hearthEngine struct {
	prelude *lua.Proto
}

func newEngine() (*hearthEngine, error) {
	lua.WriteIntegersAsPUC()
	p, err := lua.Compile("prelude", luafuzz.Prelude)
	return &hearthEngine{prelude: p}, err
}

// Run implements [luafuzz.Engine]. A panic of the VM is its trace.
func (e *hearthEngine) Run(source, chunkname string) (trace string) {
	defer func() {
		if v := recover(); v != nil {
			trace = fmt.Sprint("panic: ", v)
		}
	}()
	vm := lua.New(lua.Limits{})
	granted := 0
	vm.Refill = func() (int64, error) {
		if granted += 10_000; granted > engineSteps {
			return 0, errSteps
		}
		return 10_000, nil
	}
	globals := stdlib.New(vm, stdlib.Config{}).Globals()
	vm.Main.SetGlobals(globals)
	vm.Main.Push(lua.NewFunction(e.prelude, globals).Value())
	if err := vm.Run(0, nil); err != nil {
		return "prelude: " + err.Error()
	}
	run := vm.Main.Get(1)
	vm.Clear()
	vm.Main.Push(run)
	vm.Main.PushString(source)
	vm.Main.PushString(chunkname)
	if err := vm.Run(2, nil); err != nil {
		return "engine: " + err.Error()
	}
	trace, _ = vm.Main.Get(1).AsString()
	vm.Clear()
	return trace
}
