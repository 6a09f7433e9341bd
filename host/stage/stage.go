// Package stage loads new versions of a tenant's scripts beside those in service, before a reload activates them.
//
// A version passes when it loads in the tenant's worker and its tests pass, if the policy requires them. The stager
// also stores the versions that new ones replace, for a rollback. A version that fails is discarded from the worker;
// the versions in service are not affected. Scripts of tenants may be slow: the context bounds [Stager.Stage].
//
// The package does not read files and does not activate versions: package reload does both.
package stage

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/host/history"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/script"
)

// Candidate is a version that is not in service yet.
type Candidate struct {
	Version         *script.Version
	Previous        *script.Version // version in service; nil: none, or a rollback
	Path            string
	RecentlyWritten bool           // the files may be half written
	Sum             string         // checksum of the version, once it is staged
	Tests           *script.Script // tests that it must pass; nil: none
	Err             error
}

// maxStaged bounds the new objects of a tenant that are staged at once. If there are more, none is staged.
const maxStaged = 100

// Worker is a tenant's worker, as far as staging needs it.
type Worker interface {
	Stage(ctx context.Context, v *script.Version) (*object.Description, error)
	Test(ctx context.Context, v *script.Version, tests script.Script) ([]script.TestResult, error)
	Discard(v *script.Version)
}

// Stager stages versions. It is safe for concurrent use.
type Stager struct {
	History *history.Store
	Log     *slog.Logger
}

// Stage loads versions beside those in service, two at a time, and stores the old versions for a rollback. It sets Err
// or Sum of each candidate. It skips new objects if there are more than maxStaged: the first call loads each of them.
// Stage blocks until all versions have loaded, or ctx is done.
func (s *Stager) Stage(ctx context.Context, in Worker, all []*Candidate) {
	added := 0
	for _, c := range all {
		if c.Previous == nil {
			added++
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for _, c := range all {
		if c.Previous == nil && added > maxStaged {
			continue
		}
		if ctx.Err() != nil {
			c.Err = context.Cause(ctx)
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			if c.Tests != nil {
				if c.Err = runTests(ctx, in, c); c.Err != nil {
					in.Discard(c.Version)
				}
			}
			if c.Err == nil {
				var about *object.Description
				if about, c.Err = in.Stage(ctx, c.Version); c.Err == nil {
					s.logWarnings(c, about)
				}
			}
			<-slots
		})
	}
	wg.Wait()
	var changed []*Candidate
	for _, c := range all {
		if c.Err != nil {
			continue
		}
		c.Sum = catalog.SumOf(c.Version)
		if c.Previous != nil {
			changed = append(changed, c)
		}
	}
	if len(changed) > 0 {
		s.storeReplaced(ctx, changed)
	}
}

// maxWarnings bounds the lines in the log about one version.
const maxWarnings = 20

// logWarnings logs the wrong annotations of a version, which is served nevertheless.
func (s *Stager) logWarnings(c *Candidate, about *object.Description) {
	for i, text := range about.Warnings {
		if i == maxWarnings {
			s.Log.Warn("annotation", "object", string(c.Version.ID),
				"err", "there are more: hearth serve --check lists them")
			return
		}
		s.Log.Warn("annotation", "object", string(c.Version.ID), "err", text)
	}
}

// storeTimeout bounds how long a tenant's new versions wait for the disk to store one old version.
const storeTimeout = 5 * time.Second

// storeReplaced stores the versions that changed ones replace. A hung disk does not stop the new versions.
func (s *Stager) storeReplaced(ctx context.Context, changed []*Candidate) {
	tenant := changed[0].Version.ID.Tenant()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done, late := make(chan int, 1), time.AfterFunc(storeTimeout, cancel)
	defer late.Stop()
	go func() { // ends when the disk answers
		before, left := s.History.TotalWritten(tenant), 0
		for _, c := range changed {
			// One change of a module can change very many objects: it must not evict the whole history.
			if ctx.Err() != nil || s.History.TotalWritten(tenant)-before > s.History.MaxBytes/2 {
				left++
				continue
			}
			s.storeVersions(c.Previous, c.Version)
			late.Reset(storeTimeout)
		}
		done <- left
	}()
	select {
	case left := <-done:
		if left > 0 {
			s.Log.Warn("too many changes at once: not all old versions are stored for a rollback",
				"tenant", string(tenant), "objects", left)
		}
	case <-ctx.Done():
		s.Log.Warn("the disk of the state folder is too slow: not all old versions are stored for a rollback",
			"tenant", string(tenant))
	}
}

// runTests runs the tests that a version must pass. A failed test is a LoadError of the version.
func runTests(ctx context.Context, in Worker, c *Candidate) error {
	results, err := in.Test(ctx, c.Version, *c.Tests)
	if err != nil {
		return err
	}
	var failed []string
	for _, r := range results {
		if r.Err != "" {
			failed = append(failed, fmt.Sprintf("%s: test %s failed: %s", c.Tests.File, r.Name, r.Err))
		}
	}
	if len(failed) > 0 {
		return &script.LoadError{Msg: strings.Join(failed, "; ")}
	}
	return nil
}

// storeVersions stores the new version in the history, and before it the replaced one, if
// that is not stored yet.
func (s *Stager) storeVersions(before, now *script.Version) {
	kept, err := s.History.Names(now.ID)
	sum := catalog.SumOf(before)
	if err == nil && !slices.ContainsFunc(kept, func(name string) bool { return history.IsVersion(name, sum) }) {
		taken, atStart := s.History.ServedSince(now.ID)
		err = s.History.Add(before, taken, atStart)
	}
	if err == nil {
		err = s.History.Add(now, time.Now(), false)
	}
	if err != nil {
		s.Log.Warn("store a version for rollbacks: failed", "object", string(now.ID), "err", err)
	}
}
