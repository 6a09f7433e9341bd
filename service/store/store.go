// Package store declares the durable state of objects: the [Engine] that stores it, and the types of its operations.
//
// The state of a tenant is one store. In it each object has keys with values. An object reads single keys and ordered
// ranges, and writes batches, which are atomic. A batch is durable when [Engine.Commit] has returned nil.
//
// Versions. Every written key gets a version: the tenant's number of writes so far, so that a version is never used
// twice for a key, even if the key was deleted in between. A key that is missing has version 0. A write, or a [Check],
// can require the version that its author has read.
//
// Time. A key may have a time at which it expires. From then on it is missing. The time of a store never decreases,
// even if the clock is set back, so a key that was missing does not reappear. After a restart it continues from the
// time in the file.
//
// Ownership. One process owns a tenant's store at a time, see [Token]. An engine acquires the store at first use and
// checks the token in the transaction of each commit.
//
// Packages sqlite and memory have the two engines.
package store

import (
	"context"
	"time"

	"github.com/hearthhost/hearth/object"
)

// Engine stores the state of objects. It is safe for concurrent use.
type Engine interface {
	// Get returns the item of a key. A missing key is an item with Version 0.
	Get(ctx context.Context, id object.ID, key string) (Item, error)
	// List returns the items of a range in order. more reports that the range continues behind the last item: the page
	// is full.
	List(ctx context.Context, id object.ID, r Range) (items []Item, more bool, err error)
	// Commit makes a batch durable. After an error nothing of it is stored, except that after [ErrUnknown] it may be.
	Commit(ctx context.Context, b *Batch) (Result, error)
	// Answer returns the answer that is stored for a call, false for a missing or expired one.
	Answer(ctx context.Context, id object.ID, call CallKey) (Answer, bool, error)
	// Settle waits for the commits of an object that have begun.
	Settle(ctx context.Context, id object.ID) error
	// Usage returns the size of a tenant's store.
	Usage(ctx context.Context, tenant object.Tenant) (Usage, error)
	// Objects returns the sizes of the objects with keys, in order of their ids, those behind after, at most limit.
	Objects(ctx context.Context, tenant object.Tenant, after object.ID, limit int) ([]ObjectUsage, error)
	// Release gives up the ownership of a tenant's store after the commits that have begun. A later use acquires it
	// again.
	Release(tenant object.Tenant) error
	// Close releases all stores. It must not be called while other methods run.
	Close() error
}

// Beginner is an [Engine] that can commit without a goroutine for each batch.
type Beginner interface {
	Engine
	// Begin begins Commit and returns true. It returns false without effect if Commit would wait for more than other
	// commits, or fails. It does not wait. done receives the result, perhaps before Begin returns, and must not wait.
	Begin(ctx context.Context, b *Batch, done func(Result, error)) bool
}

// Item is a key with its value.
type Item struct {
	Key     string
	Value   []byte // JSON, see package value
	Version int64  // 0: the key is missing
	Expires int64  // milliseconds since 1970; 0: never
}

// Range selects keys of an object in the order of their bytes.
type Range struct {
	Prefix  string
	After   string // keys greater than it; "": all
	Before  string // keys less than it; "": all
	Reverse bool   // greatest key first
	Limit   int    // number of items, 1 to [MaxPage]
}

// Op is the kind of a [Write].
type Op uint8

// The kinds.
const (
	Put       Op = 1 // Value replaces the value
	Delete    Op = 2 // the key is missing afterwards
	Increment Op = 3 // Delta is added to the value, which must be an integer; a missing key counts as 0
)

// AnyVersion as a required version accepts every version.
const AnyVersion int64 = -1

// Write is one operation of a batch.
type Write struct {
	Op    Op
	Key   string
	Value []byte        // of Put
	Delta int64         // of Increment
	TTL   time.Duration // of Put: the key expires this long after the commit; 0: never. Increment keeps the expiry.
	// If is the version that the key must have before the batch, or [AnyVersion].
	If int64
}

// Check requires that a key has a version before the batch.
type Check struct {
	Key     string
	Version int64
}

// Batch is a list of writes of one object. They become durable together, or none of them does.
type Batch struct {
	Object object.ID
	Checks []Check
	Writes []Write // applied in order
	Answer *Answer // of the call from which the batch comes, nil for a call without idempotency key
	Limits Limits
}

// CallKey identifies a call that is executed at most once. Equal keys of two principals are two calls.
type CallKey struct {
	Principal object.Principal
	Key       string
}

// Answer is the answer of a call that is executed at most once.
type Answer struct {
	Call CallKey
	// Sum identifies the arguments of the call.
	Sum [32]byte
	// State is the state of the call when the batch is committed.
	State AnswerState
	// Exception is set if Payload is an exception, which the object has raised.
	Exception bool
	// Payload is the reply in the call's format, empty unless State is Done.
	Payload []byte
	// TTL is how long the answer is kept.
	TTL time.Duration
}

// AnswerState is the progress of a call that is executed at most once.
type AnswerState uint8

// The states.
const (
	Begun   AnswerState = 1 // part of the call's effects exist; the call has not ended
	Done    AnswerState = 2 // the reply is stored
	Dropped AnswerState = 3 // the call has ended; its reply was too large to store
)

// Result is the result of a commit.
type Result struct {
	Integers []int64 // values after the Increment writes, in order
	Room     int64   // bytes that the object can still store
	Version  int64   // of the last write
}

// Usage is the size of keys and values.
type Usage struct {
	Bytes int64 // keys, values and [ItemBytes] for each; answers included
	Keys  int64
	File  int64 // bytes of files; 0 in memory
}

// ObjectUsage is the size of one object's keys and values.
type ObjectUsage struct {
	Object object.ID
	Bytes  int64
	Keys   int64
}

// ItemBytes is the size of a key in addition to its name and value.
const ItemBytes = 32

// Token identifies the process that owns a tenant's store. A process that acquires the store takes the next epoch. From
// then on the commits of earlier owners fail with [ErrFenced].
type Token struct {
	Epoch       int64
	Node        string // name of the host
	Incarnation string // start of the process; no two are equal
}
