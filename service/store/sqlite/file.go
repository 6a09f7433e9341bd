package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
)

// file is the open store of one tenant.
type file struct {
	e      *Engine
	tenant object.Tenant
	path   string

	ahead atomic.Int64 // time of the store less that of the engine, in milliseconds

	// The engine's mu guards these fields.
	users   int
	lastUse uint64
	// idleSince is the end of the last use.
	idleSince time.Time
	closing   bool

	opening sync.Mutex // held while the file is opened or acquired; guards the fields below
	write   *sql.DB    // one connection; the writer's goroutine uses it, and acquire while there is no writer
	read    *sql.DB
	get     *sql.Stmt
	list    [2]*sql.Stmt // in order, in reverse order
	answer  *sql.Stmt
	writer  *writer     // nil: the file is not open, or the store is not owned
	token   store.Token // of the writer
}

func newFile(e *Engine, tenant object.Tenant) *file {
	return &file{e: e, tenant: tenant, path: e.Path(tenant)}
}

// now returns the time of the store in milliseconds since 1970. It is never less than at an earlier commit, even if
// that was in another process and the clock was set back since: a key that has expired does not reappear.
func (f *file) now() int64 { return f.e.clock.Millis() + f.ahead.Load() }

// continueAfter makes the time of the store not less than latest. Within a process it continues where it was.
func (f *file) continueAfter(latest int64) {
	f.e.mu.Lock()
	defer f.e.mu.Unlock()
	if ahead := latest - f.e.clock.Millis(); ahead > f.e.ahead[f.tenant] {
		f.e.ahead[f.tenant] = ahead
	}
	f.ahead.Store(f.e.ahead[f.tenant])
}

// readers is the number of connections that read a file.
const readers = 2

// ready opens the file and acquires the store unless that has been done.
func (f *file) ready(ctx context.Context) error {
	f.opening.Lock()
	defer f.opening.Unlock()
	if f.writer != nil && !f.writer.lost() {
		return nil
	}
	if err := f.open(); err != nil {
		return f.failure("open", err)
	}
	if err := f.own(ctx); err != nil {
		return f.failure("acquire", err)
	}
	return nil
}

// open opens the connections unless they are open.
func (f *file) open() (err error) {
	if f.read != nil {
		return nil
	}
	defer func() {
		if err != nil {
			f.closeConnections()
		}
	}()
	if err := f.create(); err != nil {
		return err
	}
	if f.write, err = f.connect(1, "-512", "0"); err != nil {
		return err
	}
	if err := migrate(f.write); err != nil {
		return err
	}
	if f.read, err = f.connect(readers, "-256", "1"); err != nil {
		return err
	}
	for stmt, text := range map[**sql.Stmt]string{
		&f.get:     selectItem,
		&f.list[0]: selectRange,
		&f.list[1]: selectReverse,
		&f.answer:  selectAnswer,
	} {
		if *stmt, err = f.read.Prepare(text); err != nil { //nolint:noctx // it does not wait
			return err
		}
	}
	return nil
}

// create makes a missing file, which only this process's user may read, and rejects anything but a regular file.
func (f *file) create() error {
	if err := os.MkdirAll(f.e.cfg.Dir, 0o700); err != nil {
		return err
	}
	if err := safefile.CheckFolder(f.e.cfg.Dir); err != nil {
		return err
	}
	switch info, err := os.Lstat(f.path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", f.path)
	case info.Mode().Perm()&0o077 != 0:
		return os.Chmod(f.path, 0o600)
	default:
		return nil
	}
	created, err := os.OpenFile(f.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := created.Close(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // it was only read
	return dir.Sync()
}

// connect returns at most n connections with a page cache of this size, in SQLite's notation.
func (f *file) connect(n int, cache, readOnly string) (*sql.DB, error) {
	q := url.Values{
		"_txlock":       {"immediate"},
		"_busy_timeout": {"10000"}, // ms: another process commits, or a program of an operator reads
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_query_only":   {readOnly},
		"_pragma": {
			"cache_size(" + cache + ")",
			"mmap_size(0)",
			"trusted_schema(OFF)",
			"cell_size_check(ON)",
			"wal_autocheckpoint(0)", // the writer does that between commits
			"journal_size_limit(8388608)",
			"temp_store(MEMORY)",
		},
	}
	c, err := sqlite.NewConnector("file:" + (&url.URL{Path: f.path}).EscapedPath() + "?" + q.Encode())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// close ends the writer, saves the time and closes the file. The ownership remains: a later process takes it as from a
// process that has ended, or when Retire has released it. close reports whether this process owns the store.
func (f *file) close() (owned bool) {
	f.opening.Lock()
	defer f.opening.Unlock()
	if f.writer != nil {
		owned = !f.writer.lost()
		f.writer.stop()
		f.writer = nil
		statement := saveTime
		if f.e.retired.Load() { // the new process need not wait for it
			statement, owned = freeOwner, false
		}
		_, err := f.write.ExecContext(context.Background(), statement, f.now(), f.token.Epoch, f.token.Incarnation)
		if err != nil {
			f.e.cfg.Log.Error("the time of a store is not saved; if the clock is set back, keys that have expired may "+
				"reappear", "tenant", f.tenant, "file", f.path, "err", err)
		}
	}
	f.closeConnections()
	return owned
}

func (f *file) closeConnections() {
	for _, db := range []*sql.DB{f.read, f.write} {
		if db == nil {
			continue
		}
		if err := db.Close(); err != nil {
			f.e.cfg.Log.Error("closing a store", "tenant", f.tenant, "file", f.path, "err", err)
		}
	}
	f.read, f.write = nil, nil
}

// failure returns the error of an operation for its caller, and logs its cause.
func (f *file) failure(operation string, err error) error {
	var known *object.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	f.e.metrics.Failures.Add(1)
	e := object.Errorf(object.CodeUnavailable, "store: the state of this tenant cannot be used; not stored")
	switch code(err) & 0xff {
	case sqlite3.SQLITE_FULL:
		e.Msg = "store: the disk is full, or the file of the tenant has its largest size; not stored"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		e.Msg = "store: the file of this tenant is damaged; not stored"
	}
	e.Err = fmt.Errorf("%s %s: %w", operation, f.path, err)
	f.e.cfg.Log.Error("store failed", "tenant", f.tenant, "operation", operation, "file", f.path, "err", err)
	return e
}

// code returns SQLite's extended result code of an error, 0 if it has none.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}
