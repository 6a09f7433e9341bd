package durable

import (
	"context"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/service/store"
)

// transaction implements hearth.store.transaction(f). f is called with the functions of the store. The transactions of
// an object run one at a time, and no other call of the object commits meanwhile. If f raises an error, its writes are
// dropped.
func (lib *Library) transaction(L *lua.Thread) int {
	fn := L.CheckFunction(1)
	running, exclusive := lib.context(L)
	if lib.inside {
		L.RaiseError("a transaction cannot be inside another one")
	}
	if !exclusive {
		lib.lock(L, running)
		defer lib.cfg.Services.Store.Unlock(lib.cfg.Object(), false)
		clear(lib.buffer.versions)
	}
	mark := lib.Mark()
	lib.inside = true
	L.Push(fn.Value())
	L.Push(lib.cfg.Functions.View().Value())
	top := L.Top() - 2
	failed := L.Try(1, -1, lua.Nil)
	lib.inside = false
	if failed != nil {
		lib.Rollback(mark)
		L.Raise(failed.Value)
	}
	if !exclusive {
		lib.commitTransaction(L, mark)
	}
	return L.Top() - top
}

// lock waits until no other call of the object is in a transaction.
func (lib *Library) lock(L *lua.Thread, running context.Context) {
	L.Charge(readSteps)
	ctx, done := lib.cfg.Meter.WaitContext(running)
	err := lib.cfg.Services.Store.Lock(ctx, lib.cfg.Object(), false)
	done()
	if err != nil {
		L.Charge(1) // the script ends here if a limit was exceeded
		lib.raise(L, err)
	}
}

// commitTransaction commits the buffered writes. The keys that the transaction has read must be unchanged.
func (lib *Library) commitTransaction(L *lua.Thread, mark int) {
	b := &store.Batch{Object: lib.cfg.Object(), Writes: lib.buffer.writes}
	for key, version := range lib.buffer.versions {
		b.Checks = append(b.Checks, store.Check{Key: key, Version: version})
	}
	if len(b.Writes) == 0 {
		lib.buffer.reset()
		return
	}
	err := lib.try(L, func(ctx context.Context) error {
		_, err := lib.cfg.Services.Store.Commit(ctx, b)
		return err
	})
	if err != nil {
		lib.Rollback(mark)
		lib.raise(L, err)
	}
	lib.buffer.reset()
}
