package sdk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/value"
)

// Store is the durable state of the object of a call: keys with values. It has the guarantees of hearth.store in Lua.
// The writes of a call are one batch, which is on disk before the reply, an item of a stream, or a call of another
// object leaves the plugin. A call that returns an error drops its writes since the last of these points. If the commit
// fails, the caller gets an error with "not stored", and the instance ends.
//
// In mode [Single] all writes of a call wait for that batch. In other modes calls overlap: [Store.Increment],
// [Store.Transaction] and [Store.Put] with [IfVersion] commit at once, with the writes before them.
//
// An error of a method is an [*Exception] with the class that a script gets, such as "StoreFull" or "ValueError". A
// Store is valid during its call only. It is safe for concurrent use, except that the writes of goroutines beside a
// running [Store.Transaction] belong to the transaction.
type Store struct {
	ctx context.Context //nolint:containedctx // a Store belongs to one call
	u   *callInfo
}

// StoreOf returns the state of the object of the call of ctx. Outside of a call, and without a host, its methods fail.
func StoreOf(ctx context.Context) *Store { return &Store{ctx: ctx, u: callOf(ctx)} }

// PutOption is an option of [Store.Put].
type PutOption func(*store.Write)

// IfVersion makes a put conditional: the last committed value of the key must have this version, as [Store.Get] returns
// it; 0 for a missing key.
func IfVersion(version int64) PutOption { return func(w *store.Write) { w.If = version } }

// TTL makes the key expire that long after the commit: 1 ms to 100 years.
func TTL(d time.Duration) PutOption { return func(w *store.Write) { w.TTL = d } }

// Range selects keys in the order of their bytes. The zero value selects all.
type Range struct {
	Prefix  string
	After   string // keys greater than it; "": all
	Before  string // keys less than it; "": all
	Reverse bool   // greatest key first
	Limit   int    // number of items; 0: all
}

// Item is a key with its value.
type Item struct {
	Key   string
	Value any
}

// Get reads a key, with the writes of the call. to is a pointer to which the value is assigned, or nil; the value is
// converted like an argument. version is that of the last committed value, 0 if that is missing.
func (s *Store) Get(key string, to any) (found bool, version int64, err error) {
	if err := s.check(key); err != nil {
		return false, 0, err
	}
	b := &s.u.store
	b.mu.Lock()
	defer b.mu.Unlock()
	doc, own := b.find(key)
	version, known := b.versions[key]
	if !own || !known {
		committed, v, err := s.u.read(s.ctx, key)
		if err != nil {
			return false, 0, err
		}
		b.saw(key, v)
		version = v
		if !own {
			doc = committed
		}
	}
	if doc == nil {
		return false, version, nil
	}
	return true, version, decode(doc, to)
}

// Put writes a key. It returns false, and writes nothing, if the key does not have the version of [IfVersion].
func (s *Store) Put(key string, v any, options ...PutOption) (bool, error) {
	if err := s.check(key); err != nil {
		return false, err
	}
	doc, err := encode(v)
	if err != nil {
		return false, err
	}
	w := store.Write{Op: store.Put, Key: key, Value: doc, If: store.AnyVersion}
	for _, o := range options {
		o(&w)
	}
	if err := store.CheckTTL(w.TTL); err != nil {
		return false, raise(err)
	}
	if w.If < store.AnyVersion {
		return false, Raise("ValueError", "store: a version is not negative")
	}
	b := &s.u.store
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.If == store.AnyVersion {
		return true, b.add(w, doc)
	}
	if !b.exclusive && !b.inside {
		_, err := s.u.commitWith(s.ctx, w, doc)
		if ex, ok := errors.AsType[*Exception](err); ok && ex.Class == store.ClassConflict {
			return false, nil
		}
		return err == nil, err
	}
	version, known := b.versions[key]
	if !known {
		if _, version, err = s.u.read(s.ctx, key); err != nil {
			return false, err
		}
		b.saw(key, version)
	}
	if version != w.If {
		return false, nil
	}
	return true, b.add(w, doc)
}

// Delete removes a key.
func (s *Store) Delete(key string) error {
	if err := s.check(key); err != nil {
		return err
	}
	b := &s.u.store
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.add(store.Write{Op: store.Delete, Key: key, If: store.AnyVersion}, nil)
}

// Increment adds n to the integer of a key, 0 if the key is missing, and returns the sum, of at most 2^53.
func (s *Store) Increment(key string, n int64) (int64, error) {
	if err := s.check(key); err != nil {
		return 0, err
	}
	w := store.Write{Op: store.Increment, Key: key, Delta: n, If: store.AnyVersion}
	b := &s.u.store
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.exclusive && !b.inside {
		integers, err := s.u.commitWith(s.ctx, w, nil)
		if err != nil || len(integers) == 0 {
			return 0, err
		}
		return integers[len(integers)-1], nil
	}
	base, own := b.find(key)
	if !own {
		committed, version, err := s.u.read(s.ctx, key)
		if err != nil {
			return 0, err
		}
		b.saw(key, version)
		base, w.If = committed, version
	}
	doc, sum, err := store.Add(key, base, n)
	if err != nil {
		return 0, raise(err)
	}
	return sum, b.add(w, doc)
}

// pageItems is the number of items that List reads at a time.
const pageItems = 100

// List returns the keys of a range with their values, with the writes of the call. After an error the sequence ends.
func (s *Store) List(r Range) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		page := store.Range{Prefix: r.Prefix, After: r.After, Before: r.Before, Reverse: r.Reverse, Limit: pageItems}
		left := r.Limit
		for more := true; more; {
			var items []Item
			var err error
			items, more, err = s.page(&page)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, it := range items {
				if !yield(it, nil) {
					return
				}
				if left--; left == 0 {
					return
				}
			}
		}
	}
}

// page reads the next page of a range and moves the range behind it.
func (s *Store) page(r *store.Range) (items []Item, more bool, err error) {
	if err := s.available(); err != nil {
		return nil, false, err
	}
	b := &s.u.store
	b.mu.Lock()
	defer b.mu.Unlock()
	reply, err := s.u.operate(s.ctx, &rpc.StoreRequest{Op: &rpc.StoreRequest_List{List: &rpc.StoreList{
		Prefix: r.Prefix, After: r.After, Before: r.Before, Reverse: r.Reverse, Limit: uint32(r.Limit),
	}}})
	if err != nil {
		return nil, false, err
	}
	from, to := r.Bounds()
	committed := reply.GetItems()
	if more = reply.GetMore() && len(committed) > 0; more { // the page covers the range up to its last key
		last := committed[len(committed)-1].GetKey()
		if r.Reverse {
			from, r.Before = last, last
		} else {
			to, r.After = last+"\x00", last
		}
	}
	docs := map[string][]byte{}
	for _, it := range committed {
		docs[it.GetKey()] = it.GetValue()
	}
	for key, at := range b.last {
		if key >= from && key < to {
			docs[key] = b.values[at]
		}
	}
	keys := make([]string, 0, len(docs))
	for key, doc := range docs {
		if doc != nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if r.Reverse {
		slices.Reverse(keys)
	}
	for _, key := range keys {
		it := Item{Key: key}
		if err := decode(docs[key], &it.Value); err != nil {
			return nil, false, err
		}
		items = append(items, it)
	}
	return items, more, nil
}

// Transaction runs f. The transactions of an object run one at a time, and no other call of the object commits
// meanwhile. If f returns an error, its writes are dropped, and Transaction returns the error. f cannot call other
// objects and cannot contain another transaction.
func (s *Store) Transaction(f func() error) error {
	if err := s.available(); err != nil {
		return err
	}
	b := &s.u.store
	b.mu.Lock()
	if b.inside {
		b.mu.Unlock()
		return Raise("RuntimeError", "a transaction cannot be inside another one")
	}
	b.inside = true
	mark := len(b.writes)
	b.mu.Unlock()
	if !b.exclusive {
		lock := s.u.lock()
		lock.Lock()
		defer lock.Unlock()
		b.mu.Lock()
		clear(b.versions)
		b.mu.Unlock()
	}
	finished := false
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.inside = false
		if !finished { // f has panicked
			b.truncate(mark)
		}
	}()
	err := f()
	b.mu.Lock()
	defer b.mu.Unlock()
	finished = true
	if err == nil && !b.exclusive && len(b.writes) > 0 {
		commit := &rpc.StoreCommit{Writes: messages(b.writes)}
		for key, version := range b.versions {
			commit.Checks = append(commit.Checks, &rpc.StoreCheck{Key: key, Version: version})
		}
		if _, err = s.u.operate(s.ctx, &rpc.StoreRequest{Op: &rpc.StoreRequest_Commit{Commit: commit}}); err == nil {
			b.clear()
		}
	}
	if err != nil {
		b.truncate(mark)
	}
	return err
}

// available returns an error outside of a call.
func (s *Store) available() error {
	if s.u == nil || s.u.s.host == nil {
		return errors.New("sdk: the store is available only during a call, with its context, under a host")
	}
	return nil
}

func (s *Store) check(key string) error {
	if err := s.available(); err != nil {
		return err
	}
	if err := store.CheckKey(key); err != nil {
		return raise(err)
	}
	return nil
}

// raise returns an error of package store as the exception that a script gets.
func raise(err error) error {
	e := object.AsError(err)
	class := e.Class
	switch {
	case class != "":
	case e.Code == object.CodeInvalid || e.Code == object.CodeTooLarge:
		class = "ValueError"
	default:
		class = "RuntimeError"
	}
	return Raise(class, e.Msg)
}

// encode returns the document of a value.
func encode(v any) ([]byte, error) {
	e := &value.Encoder{Max: store.MaxBatchBytes}
	if err := codec.Write(e, plain(v)); err != nil {
		return nil, Raise("TypeError", fmt.Sprintf("store: the value %s", object.AsError(err).Msg))
	}
	return e.Document(), nil
}

// decode assigns the value of a document to the variable to which a pointer leads. nil is allowed.
func decode(doc []byte, to any) error {
	if to == nil {
		return nil
	}
	into := reflect.ValueOf(to)
	if into.Kind() != reflect.Pointer || into.IsNil() {
		return Raise("TypeError", "store: the value needs a pointer to a variable")
	}
	var tree codec.Builder
	if err := value.Decode(doc, &tree); err != nil {
		return err
	}
	if err := convert(into.Elem(), tree.Value(), &path{name: "the value"}); err != nil {
		return Raise("TypeError", "store: "+err.Error())
	}
	return nil
}

// buffer has the writes of a call that are not committed.
type buffer struct {
	exclusive bool // the object has one instance, which runs no other call meanwhile

	mu       sync.Mutex // guards the fields below
	writes   []store.Write
	values   [][]byte         // values of the keys after each write; nil: the key is missing
	last     map[string]int   // index of the last write of each key
	bytes    int              // of keys and values
	versions map[string]int64 // versions that the call has read, of keys as they are committed
	inside   bool             // a transaction runs
	broken   bool             // a commit has failed
	answer   *rpc.StoreAnswer // of the call, to be committed with its writes
	begun    bool             // an answer was committed
}

// set makes the next flush commit an answer.
func (b *buffer) set(a *rpc.StoreAnswer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer, b.begun = a, true
}

// find returns the value that the call has given a key. own is false if it has not written it.
func (b *buffer) find(key string) (doc []byte, own bool) {
	i, own := b.last[key]
	if !own {
		return nil, false
	}
	return b.values[i], true
}

// saw remembers the version of a committed key. A forgotten version is read again; those of a transaction are kept.
func (b *buffer) saw(key string, version int64) {
	if b.versions == nil || len(b.versions) >= 1000 && !b.inside {
		b.versions = map[string]int64{}
	}
	b.versions[key] = version
}

// add appends a write, after which the key has a value; nil: it is missing.
func (b *buffer) add(w store.Write, doc []byte) error {
	size := len(w.Key) + len(w.Value)
	if len(b.writes) >= store.MaxWrites {
		return Raise("ValueError", fmt.Sprintf("store: more than %d writes in one call", store.MaxWrites))
	}
	if b.bytes+size > store.MaxBatchBytes {
		return Raise("ValueError",
			fmt.Sprintf("store: the writes of one call are more than %d bytes", store.MaxBatchBytes))
	}
	if b.last == nil {
		b.last = map[string]int{}
	}
	b.last[w.Key] = len(b.writes)
	b.writes, b.values, b.bytes = append(b.writes, w), append(b.values, doc), b.bytes+size
	return nil
}

// truncate drops the writes from index n on.
func (b *buffer) truncate(n int) {
	if n >= len(b.writes) {
		return
	}
	b.writes, b.values, b.bytes = b.writes[:n], b.values[:n], 0
	clear(b.last)
	for i := range b.writes {
		b.last[b.writes[i].Key] = i
		b.bytes += len(b.writes[i].Key) + len(b.writes[i].Value)
	}
}

// clear drops all writes and versions.
func (b *buffer) clear() {
	b.writes, b.values, b.bytes, b.last, b.versions = nil, nil, 0, nil, nil
}

func (b *buffer) mark() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.writes)
}

func (b *buffer) rollback(mark int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.truncate(mark)
}

func (b *buffer) discard() { b.rollback(0) }

// reset forgets the versions that an earlier item of a stream has read.
func (b *buffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.versions)
}

func (b *buffer) failed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}

// gate commits the writes of a call before a call of another object leaves the plugin.
func (u *callInfo) gate(ctx context.Context) error {
	u.store.mu.Lock()
	inside, begun := u.store.inside, u.store.begun
	u.store.mu.Unlock()
	if inside {
		return Raise("RuntimeError", "a transaction of the store cannot call other objects")
	}
	if u.once && !begun { // after a crash, a retry must not repeat the effect
		u.store.set(&rpc.StoreAnswer{State: rpc.AnswerState_ANSWER_STATE_BEGUN})
	}
	return u.flush(ctx)
}

// flush commits the writes of a call. After an error the instance must end.
func (u *callInfo) flush(ctx context.Context) error {
	b := &u.store
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return object.Errorf(object.CodeUnavailable, "store: an earlier write of the call failed; not stored; "+
			"the call was executed in part")
	}
	if len(b.writes) == 0 && b.answer == nil {
		return nil
	}
	reply, err := u.commit(ctx, b.writes)
	b.clear()
	b.answer = nil
	b.broken = err != nil || reply.GetFailure() != nil
	switch {
	case err != nil:
		return object.Errorf(codeOf(err), "store: the state could not be written; stored: unknown")
	case b.broken:
		f := reply.GetFailure()
		return object.Errorf(object.Code(f.GetCode()), "%s; the call was executed in part", f.GetMessage())
	}
	return nil
}

func codeOf(err error) object.Code {
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		return object.CodeDeadline
	case codes.Canceled:
		return object.CodeCanceled
	case codes.ResourceExhausted:
		return object.CodeExhausted
	default:
		return object.CodeUnavailable
	}
}

// lock returns the lock of the object's commits: of overlapping calls none commits while one is in a transaction.
func (u *callInfo) lock() *sync.RWMutex {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	l := u.s.commits[u.object]
	if l == nil {
		l = new(sync.RWMutex)
		u.s.commits[u.object] = l
	}
	return l
}

// commit commits writes. The caller holds the lock of the buffer.
func (u *callInfo) commit(ctx context.Context, writes []store.Write) (*rpc.StoreReply, error) {
	if !u.store.exclusive {
		lock := u.lock()
		lock.RLock()
		defer lock.RUnlock()
	}
	return u.s.host.Store(ctx, &rpc.StoreRequest{
		Call: u.id.Load(),
		Op:   &rpc.StoreRequest_Commit{Commit: &rpc.StoreCommit{Writes: messages(writes), Answer: u.store.answer}},
	})
}

// commitWith commits the buffered writes with one more. After an error the buffer is unchanged.
func (u *callInfo) commitWith(ctx context.Context, w store.Write, doc []byte) ([]int64, error) {
	b := &u.store
	mark := len(b.writes)
	if err := b.add(w, doc); err != nil {
		return nil, err
	}
	reply, err := u.commit(ctx, b.writes)
	if err = failureOf(reply, err); err != nil {
		b.truncate(mark)
		return nil, err
	}
	b.clear()
	return reply.GetIntegers(), nil
}

// operate runs an operation for the running call.
func (u *callInfo) operate(ctx context.Context, r *rpc.StoreRequest) (*rpc.StoreReply, error) {
	r.Call = u.id.Load()
	reply, err := u.s.host.Store(ctx, r)
	return reply, failureOf(reply, err)
}

// failureOf returns the error of an operation as an exception.
func failureOf(reply *rpc.StoreReply, err error) error {
	if err != nil {
		return Raise("RuntimeError", "store: "+codeOf(err).String())
	}
	if f := reply.GetFailure(); f != nil {
		return raise(&object.Error{Code: object.Code(f.GetCode()), Msg: f.GetMessage(), Class: f.GetClass()})
	}
	return nil
}

// read returns the committed value of a key, nil for a missing one.
func (u *callInfo) read(ctx context.Context, key string) (doc []byte, version int64, err error) {
	reply, err := u.operate(ctx, &rpc.StoreRequest{Op: &rpc.StoreRequest_Get{Get: &rpc.StoreGet{Key: key}}})
	if err != nil || len(reply.GetItems()) == 0 || reply.GetItems()[0].GetVersion() == 0 {
		return nil, 0, err
	}
	it := reply.GetItems()[0]
	return it.GetValue(), it.GetVersion(), nil
}

// messages returns the messages of writes.
func messages(writes []store.Write) []*rpc.StoreWrite {
	out := make([]*rpc.StoreWrite, len(writes))
	for i := range writes {
		w := &writes[i]
		out[i] = &rpc.StoreWrite{
			Op:        rpc.StoreOp(w.Op),
			Key:       w.Key,
			Value:     w.Value,
			Delta:     w.Delta,
			TtlMillis: w.TTL.Milliseconds(),
		}
		if w.If != store.AnyVersion {
			out[i].IfVersion = &w.If
		}
	}
	return out
}
