// Package sqlite implements the store engine with one SQLite file for each tenant.
//
// A file is in WAL mode with synchronous=FULL: a commit has returned from fsync when it is acknowledged. One goroutine
// for each open file commits. The batches that arrive while it waits for the disk are in its next transaction, see
// writer. Readers use other connections, which do not wait for it.
//
// Nothing outside of this package supplies SQL: all statements are constants, and keys and values are their parameters.
// Only this package opens the files. Another open of the same file in this process would release SQLite's locks when it
// is closed.
package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
)

// Config configures an engine.
type Config struct {
	Dir   string           // folder of the files; the first use creates it with mode 0700
	Node  string           // name of the host in tokens
	Clock func() time.Time // nil: [time.Now]
	// MaxOpen bounds the open files; default 128. The least recently used file is closed first.
	MaxOpen int
	// Alive reports whether another process with this incarnation may still own stores. Its stores are then taken when
	// it releases them, or after TakeOver (default 10 s). nil: no other process runs.
	Alive    func(incarnation string) bool
	TakeOver time.Duration
	Log      *slog.Logger // nil discards
}

// Engine is a store engine. Make one with [New].
type Engine struct {
	cfg         Config
	clock       store.Clock
	incarnation string
	metrics     Metrics

	mu    sync.Mutex // guards the fields below
	files map[object.Tenant]*file
	// ahead has the times of stores less that of the engine, in milliseconds, if they are greater.
	ahead map[object.Tenant]int64
	// dormant has the tenants whose stores this process owns and has closed, to open fewer files.
	dormant map[object.Tenant]bool
	// handedOver has the tenants whose stores Retire has released.
	handedOver map[object.Tenant]bool
	use        uint64        // number of uses so far
	freed      chan struct{} // closed when a file becomes idle or is closed; nil: no caller waits
	closed     bool

	retired atomic.Bool // see Retire
}

var _ store.Engine = (*Engine)(nil)

// New returns an engine for the files of a folder. It opens none.
func New(cfg Config) (*Engine, error) {
	if cfg.MaxOpen == 0 {
		cfg.MaxOpen = 128
	}
	if cfg.TakeOver == 0 {
		cfg.TakeOver = 10 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	// The data and the size of a file are synced, its times are not. Where that is not possible, fsync is used.
	if _, err := sqlite.Fdatasync(true); err != nil && !errors.Is(err, sqlite.ErrFdatasyncUnavailable) {
		return nil, err
	}
	e := &Engine{
		cfg:         cfg,
		clock:       store.Clock{Now: cfg.Clock},
		incarnation: rand.Text(),
		files:       map[object.Tenant]*file{},
		ahead:       map[object.Tenant]int64{},
		dormant:     map[object.Tenant]bool{},
		handedOver:  map[object.Tenant]bool{},
	}
	e.clock.Millis() // later times are not before this one
	return e, nil
}

// Incarnation returns the engine's incarnation in tokens.
func (e *Engine) Incarnation() string { return e.incarnation }

// Path returns the file of a tenant.
func (e *Engine) Path(tenant object.Tenant) string {
	return filepath.Join(e.cfg.Dir, string(tenant)+".db")
}

// errClosed is the error of methods after Close.
var errClosed = object.Errorf(object.CodeUnavailable, "store: the host is ending; not stored")

// acquire returns the open file of a tenant, which the caller releases. It opens the file if necessary.
func (e *Engine) acquire(ctx context.Context, tenant object.Tenant) (*file, error) {
	if !object.ValidName(string(tenant)) {
		return nil, fmt.Errorf("store: %q is not the name of a tenant", tenant)
	}
	f, err := e.reserve(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if err := f.ready(ctx); err != nil {
		e.release(f)
		return nil, err
	}
	return f, nil
}

// reserve returns the file of a tenant, which may not be open yet. It waits while all files are in use.
func (e *Engine) reserve(ctx context.Context, tenant object.Tenant) (*file, error) {
	for {
		f, wait := e.tryReserve(tenant)
		if f != nil {
			return f, nil
		}
		if wait == nil {
			return nil, errClosed
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryReserve returns the file of a tenant, or a channel that is closed when a file may have become idle. Both are nil
// after Close.
func (e *Engine) tryReserve(tenant object.Tenant) (*file, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil
	}
	f := e.files[tenant]
	if f == nil {
		if len(e.files) >= e.cfg.MaxOpen && !e.evictLocked() {
			if e.freed == nil {
				e.freed = make(chan struct{})
			}
			return nil, e.freed
		}
		f = newFile(e, tenant)
		e.files[tenant] = f
	}
	if f.closing {
		if e.freed == nil {
			e.freed = make(chan struct{})
		}
		return nil, e.freed
	}
	f.users++
	return f, nil
}

// reserveOpen returns the file of a tenant if it is open or being opened, else nil.
func (e *Engine) reserveOpen(tenant object.Tenant) *file {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.files[tenant]
	if f == nil || f.closing || e.closed {
		return nil
	}
	f.users++
	return f
}

// evictLocked begins to close the idle file that was used the longest ago. It returns false: the caller waits until the
// file is closed.
func (e *Engine) evictLocked() bool {
	var oldest *file
	for _, f := range e.files {
		if f.closing {
			return false // one that is about to make room
		}
		if f.users == 0 && (oldest == nil || f.lastUse < oldest.lastUse) {
			oldest = f
		}
	}
	if oldest != nil {
		oldest.closing = true
		go e.closeFile(oldest)
	}
	return false
}

// closeFile closes an idle file that is marked as closing.
func (e *Engine) closeFile(f *file) {
	owned := f.close()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.files, f.tenant)
	if owned {
		e.dormant[f.tenant] = true
	} else {
		delete(e.dormant, f.tenant)
	}
	e.wakeLocked()
}

// wakeLocked wakes the callers that wait for a file.
func (e *Engine) wakeLocked() {
	if e.freed != nil {
		close(e.freed)
		e.freed = nil
	}
}

// release ends a use of a file.
func (e *Engine) release(f *file) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f.users--
	e.use++
	f.lastUse = e.use
	f.idleSince = time.Now()
	if f.users == 0 {
		e.wakeLocked()
	}
}

// Close implements [store.Engine]. It waits for the uses of files.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	for {
		e.mu.Lock()
		var idle *file
		for _, f := range e.files {
			if f.users == 0 && !f.closing {
				idle = f
				idle.closing = true
				break
			}
		}
		left := len(e.files)
		if idle == nil && left > 0 && e.freed == nil {
			e.freed = make(chan struct{})
		}
		wait := e.freed
		e.mu.Unlock()
		switch {
		case left == 0:
			return nil
		case idle != nil:
			e.closeFile(idle)
		default:
			<-wait
		}
	}
}
