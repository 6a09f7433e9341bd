// Package watch tells that something below some folders may have changed. It is a hint and
// no more: events get lost, queues overflow, and some file systems have none, so whoever
// uses it looks for himself now and then.
package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A change is told when nothing more has happened for quiet, and at the latest when latest
// has passed: an editor writes one file in several steps.
const (
	quiet  = 15 * time.Millisecond
	latest = 150 * time.Millisecond
)

// maxFolders bounds how many folders are watched: whoever owns one can make any number in it,
// and the system has so many watches for all programs of a user.
const maxFolders = 16_384

// errMany says that there are more.
var errMany = fmt.Errorf("more than %d folders", maxFolders)

// Folders watches folders with all that is below them. Its methods may be called
// concurrently.
type Folders struct {
	fsn  *fsnotify.Watcher
	told chan struct{}
	done chan struct{}

	watched atomic.Int64 // about how many folders

	mu    sync.Mutex // guards what follows
	dirty map[string]bool
	lost  bool // events were
}

// New returns a watcher of nothing yet. The error is that the system gives no watcher.
func New() (*Folders, error) {
	fsn, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	f := &Folders{fsn: fsn, told: make(chan struct{}, 1), done: make(chan struct{}), dirty: map[string]bool{}}
	go f.run() // ends with fsn
	return f, nil
}

// Changed is sent to when there is something to take.
func (f *Folders) Changed() <-chan struct{} { return f.told }

// Take returns the paths that something has happened to since it was last called. all says
// that they are not all.
func (f *Folders) Take() (paths []string, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for path := range f.dirty {
		paths = append(paths, path)
	}
	all = f.lost
	clear(f.dirty)
	f.lost = false
	return paths, all
}

// Cover watches these folders and all below them, as far as they are not watched yet. One
// that is missing is left out, with what is hidden. The error is that there are too many.
func (f *Folders) Cover(roots ...string) error {
	watched := map[string]bool{}
	for _, path := range f.fsn.WatchList() {
		watched[path] = true
	}
	f.watched.Store(int64(len(watched)))
	var problem error
	for _, root := range roots {
		problem = errors.Join(problem, f.cover(root, watched))
	}
	return problem
}

func (f *Folders) cover(root string, watched map[string]bool) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // it is gone, or not ours to read: nothing to watch
		case !e.IsDir():
			return nil
		case path != root && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case watched[path]:
			return nil
		}
		if f.watched.Add(1) > maxFolders {
			return errMany
		}
		if err := f.fsn.Add(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// Close ends the watching.
func (f *Folders) Close() error {
	err := f.fsn.Close()
	<-f.done
	return err
}

// run gathers events until the watcher is closed.
func (f *Folders) run() {
	defer close(f.done)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var first time.Time // of what was not told yet
	note := func() {
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		timer.Reset(min(quiet, max(0, latest-now.Sub(first))))
	}
	for {
		select {
		case e, ok := <-f.fsn.Events:
			if !ok {
				return
			}
			f.event(e)
			note()
		case _, ok := <-f.fsn.Errors:
			if !ok {
				return
			}
			f.mu.Lock()
			f.lost = true
			f.mu.Unlock()
			note()
		case <-timer.C:
			first = time.Time{}
			select {
			case f.told <- struct{}{}:
			default: // it was told, and not taken yet
			}
		}
	}
}

// event notes a path, and watches it if it is a new folder.
func (f *Folders) event(e fsnotify.Event) {
	if e.Has(fsnotify.Create) && !strings.HasPrefix(filepath.Base(e.Name), ".") {
		// What the folder holds already is found by whoever looks at it now. That it cannot
		// be watched shows when all are covered again.
		_ = f.cover(e.Name, nil)
	}
	f.mu.Lock()
	f.dirty[e.Name] = true
	f.mu.Unlock()
}
