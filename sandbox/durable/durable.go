// Package durable implements hearth.store: the durable state of an object, for its script.
//
// A [Library] serves one Lua state. Writes are buffered until [Library.Flush], which commits them as one batch. The
// owner of the state calls Flush before anything leaves the object, so nothing is visible that is not durable. Reads
// see the buffered writes. When a call fails, its buffered writes are discarded.
//
// An exclusive object has one instance, which runs one call at a time. Its increments and conditional writes are
// buffered like other writes. Calls of other objects overlap: increments, conditional writes and transactions commit at
// once, together with the writes before them, so that their results are exact.
package durable

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/budget"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/services"
	"github.com/hearthhost/hearth/sandbox/values"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/value"
)

// Steps of operations in addition to those of their values.
const (
	readSteps  = 500 // it waits for the host
	writeSteps = 100
)

// Config has the parts of a state that the library needs.
type Config struct {
	Object    func() object.ID // whose state it is
	Functions *lua.Table       // of hearth.store, see Table; shared
	MaxValue  int              // bytes of a value
	Services  services.Set
	Types     *values.Types
	Meter     *budget.Meter
	Build     *convert.Builder // reads values; free while Lua runs
	Encode    *convert.Encoder // writes values; free while Lua runs
	// Once reports whether the running call is executed at most once, also if it fails.
	Once func() bool
	// Last reports whether the results of the native function that runs in L are those of the running call.
	Last func(L *lua.Thread) bool
	// Running returns the context of the running call, and nil while the script is loaded. Exclusive reports that the
	// object has one instance, which serves no other call meanwhile.
	Running func() (ctx context.Context, exclusive bool)
}

// Library implements hearth.store in one Lua state. It belongs to the goroutine of the state.
type Library struct {
	cfg Config
	doc value.Encoder

	settled bool          // the instance has used the store
	answer  *store.Answer // of the running call, to be committed with its writes
	begun   bool          // an answer of the running call is committed
	buffer  buffer
	inside  bool // a transaction runs
}

// New returns the library of a state.
func New(cfg Config) *Library { return &Library{cfg: cfg} }

// Table returns a table with the functions of hearth.store. of returns the library of the running state.
func Table(of func(L *lua.Thread) *Library) *lua.Table {
	functions := map[string]func(*Library, *lua.Thread) int{
		"get":         (*Library).get,
		"put":         (*Library).put,
		"delete":      (*Library).remove,
		"list":        (*Library).list,
		"increment":   (*Library).increment,
		"transaction": (*Library).transaction,
	}
	t := lua.NewTable(0, len(functions))
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		f := functions[name]
		values.SetNative(t, name, func(L *lua.Thread) int { return f(of(L), L) })
	}
	return t
}

// Fresh prepares the library for a new instance.
func (lib *Library) Fresh() {
	lib.settled = false
	lib.Discard()
}

// Discard drops the writes that are not committed.
func (lib *Library) Discard() {
	lib.buffer.reset()
	lib.inside = false
}

// Begin prepares the library for a new call.
func (lib *Library) Begin() { lib.answer, lib.begun = nil, false }

// Answer makes the next Flush commit the answer of the running call.
func (lib *Library) Answer(a *store.Answer) { lib.answer = a }

// Mark returns the position behind the writes so far.
func (lib *Library) Mark() int { return len(lib.buffer.writes) }

// Rollback drops the writes behind a position, unless they are committed.
func (lib *Library) Rollback(mark int) { lib.buffer.truncate(mark) }

// Flush commits the buffered writes. After an error the instance must end: its memory may be ahead of its state.
func (lib *Library) Flush(ctx context.Context) *object.Error {
	if len(lib.buffer.writes) == 0 && lib.answer == nil {
		lib.buffer.reset() // an operator may write before the next section: versions are read again
		return nil
	}
	_, err := lib.commitBuffer(ctx)
	return failure(err)
}

// commitBuffer commits the buffered writes and drops them.
func (lib *Library) commitBuffer(ctx context.Context) (store.Result, error) {
	r, err := lib.commit(ctx, &store.Batch{Writes: lib.buffer.writes, Answer: lib.answer})
	lib.buffer.reset()
	lib.answer = nil
	return r, err
}

// failure returns the error of a call whose writes could not be committed, nil if err is nil.
func failure(err error) *object.Error {
	if err == nil {
		return nil
	}
	failed := object.Errorf(object.CodeUnavailable, "store: the state could not be written; not stored")
	failed.Err = err
	var e *object.Error
	switch {
	case errors.As(err, &e) && e.Msg != "":
		failed = object.Errorf(e.Code, "%s; the call was executed in part", e.Msg)
	case object.CodeOf(err) == object.CodeCanceled || object.CodeOf(err) == object.CodeDeadline:
		failed = object.Errorf(object.CodeOf(err), "store: the call ended while its state was written; stored: unknown")
	}
	return failed
}

// Deferred reports whether the last buffered write is an increment whose result is that of the running call. The
// script has returned 0 in its place.
func (lib *Library) Deferred() bool { return lib.buffer.deferred }

// FlushDeferred is Flush with a deferred increment, and returns its integer. raised is the error that the increment
// would have raised in the script: nothing is committed then.
func (lib *Library) FlushDeferred(ctx context.Context) (sum int64, raised, failed *object.Error) {
	r, err := lib.commitBuffer(ctx)
	if e, ok := errors.AsType[*object.Error](err); ok && e.Class == store.ClassType {
		return 0, e, nil
	}
	if err == nil && len(r.Integers) == 0 {
		err = errors.New("store: the result of an increment is missing")
	}
	if err != nil {
		return 0, nil, failure(err)
	}
	return r.Integers[len(r.Integers)-1], nil, nil
}

// commit commits a batch of the object. Calls that overlap do not commit while one of them is in a transaction.
func (lib *Library) commit(ctx context.Context, b *store.Batch) (r store.Result, err error) {
	b.Object = lib.cfg.Object()
	if _, exclusive := lib.cfg.Running(); !exclusive {
		if err := lib.cfg.Services.Store.Lock(ctx, b.Object, true); err != nil {
			return r, err
		}
		defer lib.cfg.Services.Store.Unlock(b.Object, true)
	}
	return lib.cfg.Services.Store.Commit(ctx, b)
}

// Gate is Flush for a native function: if it fails, the run ends.
func (lib *Library) Gate(L *lua.Thread) {
	if lib.inside {
		L.RaiseError("a transaction of hearth.store cannot call other objects")
	}
	running, _ := lib.cfg.Running()
	if running == nil {
		return
	}
	if lib.cfg.Once() && !lib.begun { // after a crash, a retry must not repeat the effect
		lib.answer, lib.begun = &store.Answer{State: store.Begun}, true
	}
	if len(lib.buffer.writes) == 0 && lib.answer == nil {
		lib.buffer.reset()
		return
	}
	ctx, done := lib.cfg.Meter.WaitContext(running)
	err := lib.Flush(ctx)
	done()
	if err != nil {
		lib.cfg.Meter.SetErr(err)
		L.VM().Kill(err)
	}
	L.Charge(1)
}

// context returns the context of the running call. It raises an error while the script is loaded.
func (lib *Library) context(L *lua.Thread) (ctx context.Context, exclusive bool) {
	running, exclusive := lib.cfg.Running()
	if running == nil {
		L.RaiseError("hearth.store can be used while a call is running, not while the script is loaded")
	}
	return running, exclusive
}

// wait runs an operation of the store. It raises its error.
func (lib *Library) wait(L *lua.Thread, do func(ctx context.Context) error) {
	if err := lib.try(L, do); err != nil {
		lib.raise(L, err)
	}
}

// try runs an operation of the store. Before the first one of an instance it waits for the commits of a former instance
// that was killed.
func (lib *Library) try(L *lua.Thread, do func(ctx context.Context) error) error {
	L.Charge(readSteps)
	running, exclusive := lib.context(L)
	ctx, done := lib.cfg.Meter.WaitContext(running)
	var err error
	if exclusive && !lib.settled {
		err = lib.cfg.Services.Store.Settle(ctx, lib.cfg.Object())
		lib.settled = err == nil
	}
	if err == nil {
		err = do(ctx)
	}
	done()
	L.Charge(1) // the script ends here if a limit was exceeded meanwhile
	return err
}

// raise raises the error of an operation.
func (lib *Library) raise(L *lua.Thread, err error) {
	class, msg := "RuntimeError", "store: "+object.CodeOf(err).String()
	if e, ok := errors.AsType[*object.Error](err); ok && e.Msg != "" {
		msg = e.Msg
		switch {
		case e.Class != "":
			class = e.Class
		case e.Code == object.CodeInvalid || e.Code == object.CodeTooLarge:
			class = "ValueError"
		}
	}
	args := L.NewTable(1, 0)
	args.Append(lua.String(msg))
	L.Raise(lib.cfg.Types.ExceptionTable(L, class, args).Value())
}

// key returns argument i, a key.
func (lib *Library) key(L *lua.Thread, i int) string {
	key := L.CheckString(i)
	L.ChargeBytes(len(key))
	if err := store.CheckKey(key); err != nil {
		lib.raise(L, err)
	}
	return key
}

// read returns the committed item of a key.
func (lib *Library) read(L *lua.Thread, key string) (it store.Item) {
	lib.wait(L, func(ctx context.Context) (err error) {
		it, err = lib.cfg.Services.Store.Get(ctx, lib.cfg.Object(), key)
		return err
	})
	lib.buffer.saw(key, it.Version)
	return it
}

// get implements hearth.store.get(key). It returns the value and the version of the last committed value.
func (lib *Library) get(L *lua.Thread) int {
	key := lib.key(L, 1)
	lib.context(L)
	own := lib.buffer.find(key)
	if own == nil {
		it := lib.read(L, key)
		lib.push(L, it.Value)
		L.Push(lua.Number(float64(it.Version)))
		return 2
	}
	version, ok := lib.buffer.versions[key]
	if !ok {
		version = lib.read(L, key).Version
	}
	lib.push(L, own.value)
	L.Push(lua.Number(float64(version)))
	return 2
}

// push pushes a stored value, nil for a missing one.
func (lib *Library) push(L *lua.Thread, doc []byte) { L.Push(lib.decode(L, doc)) }

func (lib *Library) decode(L *lua.Thread, doc []byte) lua.Value {
	if doc == nil {
		return lua.Nil
	}
	L.ChargeBytes(len(doc))
	lib.cfg.Build.Start(convert.ForValues, nil)
	err := value.Decode(doc, lib.cfg.Build)
	if err == nil {
		err = lib.cfg.Build.Finish()
	}
	if err != nil {
		lib.raise(L, err)
	}
	v := lib.cfg.Build.Value()
	lib.cfg.Build.Reset()
	return v
}

// encode returns the document of a value. It raises an error that names the part that cannot be stored.
func (lib *Library) encode(L *lua.Thread, name string, v lua.Value) []byte {
	lib.doc.Reset()
	lib.doc.Max = store.MaxBatchBytes
	err := lib.cfg.Encode.Single(&lib.doc, name, v, store.MaxBatchBytes)
	if err == nil {
		L.ChargeBytes(len(lib.doc.Document()))
		return append([]byte(nil), lib.doc.Document()...)
	}
	class, msg := "TypeError", name+" "+object.CodeOf(err).String()
	if text, ok := convert.Unsendable(err); ok {
		msg = text
	} else if e, ok := errors.AsType[*object.Error](err); ok {
		msg = name + " " + e.Msg
		if e.Code != object.CodeInvalid {
			class = "ValueError"
		}
	}
	args := L.NewTable(1, 0)
	args.Append(lua.String(msg))
	L.Raise(lib.cfg.Types.ExceptionTable(L, class, args).Value())
	return nil
}

// options are the fields of the last argument of put.
type options struct {
	version int64
	ttl     time.Duration
}

// options returns argument i, a table of options or nil.
func (lib *Library) options(L *lua.Thread, i int) (o options) {
	o.version = store.AnyVersion
	if L.Get(i).IsNil() {
		return o
	}
	for k, v := range L.CheckTable(i).All() {
		name, _ := k.AsString()
		n, isNumber := v.AsNumber()
		switch {
		case name != "if_version" && name != "ttl":
			L.ArgError(i, "unknown option; the options are if_version and ttl")
		case !isNumber:
			L.ArgError(i, "%s must be a number", name)
		case name == "if_version":
			if n < 0 || n != math.Trunc(n) || n > store.MaxInteger {
				L.ArgError(i, "if_version must be a version that get has returned")
			}
			o.version = int64(n)
		default:
			if !(n > 0 && n <= store.MaxTTL.Seconds()) {
				L.ArgError(i, "ttl must be seconds, more than 0 and at most 100 years")
			}
			o.ttl = max(time.Millisecond, time.Duration(n*float64(time.Second)))
		}
	}
	return o
}

// put implements hearth.store.put(key, value, options). It returns false if the key does not have the required version.
func (lib *Library) put(L *lua.Thread) int {
	key := lib.key(L, 1)
	if L.Get(2).IsNil() {
		L.ArgError(2, "a value is required; delete removes a key")
	}
	o := lib.options(L, 3)
	_, exclusive := lib.context(L)
	doc := lib.encode(L, "store.put: value", L.Get(2))
	if len(doc) > lib.cfg.MaxValue {
		lib.raise(L, object.Errorf(object.CodeTooLarge, "store: the value of %s is %d bytes, at most %d (store_value)",
			store.Shown(key), len(doc), lib.cfg.MaxValue))
	}
	w := store.Write{Op: store.Put, Key: key, Value: doc, TTL: o.ttl, If: o.version}
	if o.version != store.AnyVersion {
		if !exclusive && !lib.inside {
			L.Push(lua.Bool(lib.commitNow(L, w)))
			return 1
		}
		if lib.version(L, key) != o.version {
			L.Push(lua.False)
			return 1
		}
	}
	lib.write(L, w, w.Value)
	L.Push(lua.True)
	return 1
}

// version returns the version of the last committed value of a key.
func (lib *Library) version(L *lua.Thread, key string) int64 {
	if v, ok := lib.buffer.versions[key]; ok {
		return v
	}
	return lib.read(L, key).Version
}

// remove implements hearth.store.delete(key).
func (lib *Library) remove(L *lua.Thread) int {
	key := lib.key(L, 1)
	lib.context(L)
	lib.write(L, store.Write{Op: store.Delete, Key: key, If: store.AnyVersion}, nil)
	return 0
}

// increment implements hearth.store.increment(key, n). It returns the new integer.
func (lib *Library) increment(L *lua.Thread) int {
	key := lib.key(L, 1)
	n := L.OptNumber(2, 1)
	if n != math.Trunc(n) || math.Abs(n) > store.MaxInteger {
		L.ArgError(2, "an integer of at most 2^53 is required")
	}
	_, exclusive := lib.context(L)
	w := store.Write{Op: store.Increment, Key: key, Delta: int64(n), If: store.AnyVersion}
	if !exclusive && !lib.inside {
		L.Push(lua.Number(float64(lib.commitIncrement(L, w))))
		return 1
	}
	own := lib.buffer.find(key)
	if _, read := lib.buffer.versions[key]; own == nil && !read && !lib.inside && lib.cfg.Last(L) {
		// The script ends here: the host adds in the commit, and no read is required.
		L.Charge(readSteps)
		lib.write(L, w, nil)
		lib.buffer.deferred = true
		L.Push(lua.Number(0))
		return 1
	}
	var base []byte
	if own != nil {
		base = own.value
	} else {
		it := lib.read(L, key)
		base, w.If = it.Value, it.Version
	}
	doc, sum, err := store.Add(key, base, w.Delta)
	if err != nil {
		lib.raise(L, err)
	}
	lib.write(L, w, doc)
	L.Push(lua.Number(float64(sum)))
	return 1
}

// write buffers a write, after which the key has a value; nil: it is missing.
func (lib *Library) write(L *lua.Thread, w store.Write, doc []byte) {
	L.Charge(writeSteps)
	b := &lib.buffer
	size := len(w.Key) + len(w.Value)
	switch {
	case len(b.writes) >= store.MaxWrites:
		lib.raise(L, object.Errorf(object.CodeTooLarge, "store: more than %d writes in one call", store.MaxWrites))
	case b.bytes+size > store.MaxBatchBytes:
		lib.raise(L, object.Errorf(object.CodeTooLarge, "store: the writes of one call are more than %d bytes",
			store.MaxBatchBytes))
	}
	L.ChargeBytes(size)
	if err := lib.cfg.Meter.Reserve(int64(size + writeBytes)); err != nil {
		L.VM().Kill(err)
		L.Charge(1)
	}
	b.add(w, doc)
}

// writeBytes is the memory of a buffered write in addition to its key and value.
const writeBytes = 200

// commitNow commits the buffered writes with one more. It returns false if that requires another version: then nothing
// is committed, and the other writes remain in the buffer.
func (lib *Library) commitNow(L *lua.Thread, w store.Write) bool {
	_, err := lib.commitWith(L, w)
	if isConflict(err) {
		return false
	}
	if err != nil {
		lib.raise(L, err)
	}
	return true
}

func isConflict(err error) bool {
	e, ok := errors.AsType[*object.Error](err)
	return ok && e.Class == store.ClassConflict
}

// commitIncrement commits the buffered writes with an increment, and returns the new integer.
func (lib *Library) commitIncrement(L *lua.Thread, w store.Write) int64 {
	r, err := lib.commitWith(L, w)
	if err != nil {
		lib.raise(L, err)
	}
	if len(r.Integers) == 0 {
		return 0
	}
	return r.Integers[len(r.Integers)-1]
}

// commitWith commits the buffered writes with one more. After an error the buffer is unchanged.
func (lib *Library) commitWith(L *lua.Thread, w store.Write) (r store.Result, err error) {
	mark := lib.Mark()
	lib.write(L, w, w.Value)
	err = lib.try(L, func(ctx context.Context) (err error) {
		r, err = lib.commit(ctx, &store.Batch{Writes: lib.buffer.writes})
		return err
	})
	if err != nil {
		lib.Rollback(mark)
		return r, err
	}
	lib.buffer.reset()
	return r, nil
}
