// Package reload finds changes of the policy, of scripts, plugins and credentials, and puts them in force without a
// restart.
//
// One goroutine, [Reloader.Run], owns all state. It scans the files (package catalog) after file events and at
// intervals, and compares them with the generation in force. It builds the next [Generation] and stores it in
// [Current] with one atomic write: a call sees exactly one generation. Then it withdraws calls that are no longer
// permitted, cuts revoked peers and retires backends without a route.
//
// New versions of scripts (package stage) and new plugins run code of tenants, so jobs stage them in other goroutines
// and the reloader applies the results. A file that fails is refused: its last good version stays in force, and
// [Current.Refusals] lists the failure until the file changes. A file that may be half written is staged again first.
//
// Reload, Rollback and History are requests of other goroutines to the reloader. WatchCredentials is a second
// goroutine for changed keys, certificates and secrets, which need no new generation.
//
// The package does not start processes (package backend does) and does not decide on calls (package dispatch does).
package reload

import (
	"context"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/host/folder"
	"github.com/hearthhost/hearth/host/history"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/stage"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/internal/watch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Delays and bounds of finding and applying changes.
const (
	rescanEvery    = 5 * time.Second        // interval of full scans, for changes without events
	maxSettleDelay = 5 * time.Second        // bound on it for a file that is written all the time
	settleRounds   = 25                     // rescans of the same length, after which Reload stops waiting
	idleFactor     = 4                      // minimum pause after a scan for events, in durations of the scan
	settlePoll     = 200 * time.Millisecond // interval of rescans while a file is settling
)

// Config configures a [Reloader]. PolicyFile and Load may be missing: then the policy does not change.
type Config struct {
	Current    *Current
	PolicyFile string
	Load       func() (*policy.Policy, error) // rereads PolicyFile
	Backends   *backend.Manager
	Builtin    map[object.ID]route.Route // routes of the host's own objects
	Dispatcher *dispatch.Dispatcher
	Usage      *usage.Registry
	Shares     *admit.Shares
	// CutRevoked disconnects peers that the credentials and the policy in force do not authenticate.
	CutRevoked func(now time.Time)
	// HandedOver reports whether a new process of the host accepts connections instead of this one.
	HandedOver func() bool
	// Record writes an event of an object into the audit log. It does not wait for the disk.
	Record func(event string, id object.ID, detail string)
	Log    *slog.Logger
}

// Reloader builds the next generation from the current files and puts it in force. Its state belongs to one goroutine:
// first the caller of New, then Run. Tenants' code may be slow, so it runs in jobs, at most one for each tenant or
// plugin. The reloader's goroutine applies their results.
type Reloader struct {
	cfg     Config
	counts  counts
	reader  catalog.Reader
	watched *watch.Folders // nil: no file events

	starting   bool                   // during New: versions are not staged
	next       *Generation            // under construction, only during change
	retired    []backend.Retirer      // backends that the next snapshot lacks
	afterStore []func()               // run after the next snapshot is stored
	unsettled  map[object.Tenant]bool // tenants with settling files

	policySum    [32]byte                // SHA-256 of the policy file at its last reading
	policyInfo   fs.FileInfo             // its metadata then
	missing      map[object.ID]time.Time // first time without a file; still served
	settling     map[object.ID]time.Time // first time that the file may have been half written
	refused      refusals
	jobs         jobs
	changedInJob map[object.Tenant]bool     // tenants that changed during their job
	requests     chan func(context.Context) // functions of other goroutines to run here
	history      *history.Store
	stager       stage.Stager
	folders      folder.Probe
	waiters      []*waiter // callers of Reload
}

// waiter is a Reload that waits until all changes are applied.
type waiter struct {
	done    chan struct{}
	rounds  int    // rescans and ended jobs since its start
	lastJob uint64 // last job to wait for; 0: wait for settling files too
}

// counts counts the applied and the refused changes of objects, plugins and policies.
type counts struct {
	accepted, refused atomic.Uint64
	last              atomic.Int64 // time of the last applied change, in ns since 1970; 0: none
}

func (r *counts) accept() {
	r.accepted.Add(1)
	r.last.Store(time.Now().UnixNano())
}

// Counts returns the numbers of applied and refused changes of objects, plugins and policies, and the time of the last
// applied one, zero without one. It is safe for concurrent use.
func (l *Reloader) Counts() (applied, refused uint64, last time.Time) {
	if ns := l.counts.last.Load(); ns != 0 {
		last = time.Unix(0, ns)
	}
	return l.counts.accepted.Load(), l.counts.refused.Load(), last
}

// New returns a reloader and puts the first generation in force. A missing scripts folder is an error. It starts no
// process.
func New(cfg Config) (*Reloader, error) {
	l := &Reloader{
		cfg:          cfg,
		unsettled:    map[object.Tenant]bool{},
		missing:      map[object.ID]time.Time{},
		settling:     map[object.ID]time.Time{},
		refused:      refusals{},
		jobs:         newJobs(),
		changedInJob: map[object.Tenant]bool{},
		requests:     make(chan func(context.Context)),
		history: &history.Store{
			Dir:       filepath.Join(cfg.Current.Load().Policy.State, "history"),
			MaxBytes:  history.DefaultMaxBytes,
			HostStart: time.Now(),
		},
	}
	l.stager = stage.Stager{History: l.history, Log: cfg.Log}
	return l, l.first()
}

// SetMaxHistoryBytes limits the bytes of the old versions of a tenant's objects. Call it before Run.
func (l *Reloader) SetMaxHistoryBytes(n int64) { l.history.MaxBytes = n }

// Reload scans all files and returns once every change is served or refused. It does not wait for files that keep
// changing beyond settleRounds rescans. It returns the cause of ctx if ctx is done first; without Run it never
// completes.
func (l *Reloader) Reload(ctx context.Context) error {
	answer := make(chan struct{})
	err := l.do(ctx, func(ctx context.Context) {
		l.waiters = append(l.waiters, &waiter{done: answer})
		snap := l.cfg.Current.Load()
		snap.Credentials.Refresh(time.Now())
		if snap.Secrets.Refresh() {
			snap.Backends.SetSecrets(snap.Secrets)
		}
		for _, r := range l.refused { // an explicit reload stages unchanged failures again
			r.version, r.plugin = nil, nil
		}
		l.reload(ctx, nil)
	})
	if err != nil {
		return err
	}
	select {
	case <-answer:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// do runs f in the reloader's goroutine and waits for it. It returns the cause of ctx if ctx is done first.
func (l *Reloader) do(ctx context.Context, f func(context.Context)) error {
	done := make(chan struct{})
	select {
	case l.requests <- func(ctx context.Context) { defer close(done); f(ctx) }:
		<-done
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// first builds the host's first snapshot. A missing scripts folder is an error.
func (l *Reloader) first() error {
	p := l.cfg.Current.Load().Policy
	l.policySum = p.Sum
	f, err := l.reader.Read(p, nil)
	if err != nil {
		return err
	}
	l.starting = true
	l.change(func(*Generation) {
		l.reportProblems(f)
		l.scripts(context.Background(), f)
		l.plugins(context.Background(), f)
	})
	l.starting = false
	return nil
}

// Run applies changes until ctx is done, and then waits for the running jobs.
func (l *Reloader) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer l.drain()
	defer cancel()
	var events <-chan struct{}
	if w, err := watch.New(); err != nil {
		l.cfg.Log.Warn("no file events: the host scans all files instead; raise fs.inotify.max_user_instances",
			"every", rescanEvery, "err", err)
	} else {
		defer func() { _ = w.Close() }()
		l.watched, events = w, w.Changed()
	}
	rescan := time.NewTicker(rescanEvery)
	defer rescan.Stop()
	settle := time.NewTimer(0)
	defer settle.Stop()
	poll := time.NewTicker(lookEvery)
	defer poll.Stop()
	idle := time.NewTimer(0)
	defer idle.Stop()
	ready := events // nil while the reloader ignores events
	started := false
	armed := false // settle is set
	for {
		select {
		case <-ctx.Done():
			return
		case <-ready:
			// A tenant can change its folder all the time. A pause after each scan keeps time for other work.
			begun := time.Now()
			l.reload(ctx, l.changedTenants())
			ready = nil
			idle.Reset(idleFactor * time.Since(begun))
		case <-idle.C:
			ready = events
		case <-settle.C:
			armed = false
			l.countRound()
			if !started { // the first scan, right after the start
				started = true
				l.watchFolders()
				l.reload(ctx, nil)
			} else if len(l.unsettled) > 0 {
				l.reload(ctx, l.unsettled)
			}
		case <-rescan.C:
			l.watchFolders()
			l.reload(ctx, nil)
		case <-poll.C:
			if l.policyChanged() {
				l.reload(ctx, nil)
			}
		case do := <-l.requests:
			do(ctx)
		case do := <-l.jobs.finished:
			l.change(do)
			l.countRound()
			if len(l.changedInJob) > 0 {
				which := l.changedInJob
				l.changedInJob = map[object.Tenant]bool{}
				l.reload(ctx, which)
			}
		}
		if len(l.unsettled) > 0 && !armed {
			armed = true
			settle.Reset(settlePoll)
		}
		l.waiters = slices.DeleteFunc(l.waiters, l.complete)
	}
}

// countRound counts a rescan, or an ended job, for all waiters.
func (l *Reloader) countRound() {
	for _, a := range l.waiters {
		a.rounds++
	}
}

// complete completes a waiter when no file is settling and no job runs. After settleRounds
// it waits only for the jobs that were running then.
func (l *Reloader) complete(a *waiter) bool {
	quiet := len(l.unsettled) == 0 && len(l.jobs.running) == 0
	if !quiet && a.lastJob == 0 && a.rounds > settleRounds && len(l.changedInJob) == 0 {
		a.lastJob = max(l.jobs.count, 1)
	}
	for _, n := range l.jobs.running {
		if n <= a.lastJob {
			return false
		}
	}
	if quiet || a.lastJob > 0 {
		close(a.done)
		return true
	}
	return false
}

// drain waits for the running jobs. Their context is done.
func (l *Reloader) drain() {
	for len(l.jobs.running) > 0 {
		l.change(<-l.jobs.finished)
	}
}

// change builds the next snapshot with do, which gets the last one, and puts it in force.
func (l *Reloader) change(do func(old *Generation)) {
	old := l.cfg.Current.Load()
	next := *old
	next.Backends = old.Backends.Clone()
	l.next, l.retired, l.afterStore = &next, nil, nil
	do(old)
	next.SetRoutes(next.Backends.Routes(), l.cfg.Builtin, old.Listed)
	l.cfg.Usage.Add(next.IDs)
	l.cfg.Current.generation.Store(&next)
	if next.Policy != old.Policy { // first: no other work may delay a revocation
		l.cfg.CutRevoked(time.Now())
		l.cfg.Dispatcher.Withdraw(&old.Snapshot, nil)
		l.cfg.Shares.ApplyPolicy(next.Policy)
	}
	// Objects of the last snapshot may be gone. Their workers drop them after the store: no new call reaches them.
	for name, was := range old.Backends.Tenants {
		now := next.Backends.Tenants[name]
		if now == nil || now.Worker != was.Worker {
			continue // the whole worker retires
		}
		var gone []object.ID
		for id := range was.Objects {
			if now.Objects[id] == nil {
				gone = append(gone, id)
			}
		}
		if len(gone) > 0 {
			now.Worker.Remove(gone...)
		}
	}
	if next.Policy != old.Policy {
		next.Backends.SetSecrets(next.Secrets)
	}
	l.cfg.Dispatcher.ForgetBackends(next.Routes)
	for _, b := range l.retired {
		l.cfg.Backends.Retire(b)
	}
	l.cfg.Current.refusals.Store(l.refused.list(next.Policy))
	for _, report := range l.afterStore {
		report()
	}
}

// reload applies the changes in the files of some tenants. If which is nil it reads the
// policy and all files.
func (l *Reloader) reload(ctx context.Context, which map[object.Tenant]bool) {
	waited := l.unsettled // the scan below adds the tenants that are still settling
	l.unsettled = map[object.Tenant]bool{}
	if which != nil {
		maps.Copy(l.unsettled, waited)
		maps.DeleteFunc(l.unsettled, func(t object.Tenant, _ bool) bool { return which[t] })
	}
	l.change(func(old *Generation) {
		last := l.reader.Last
		if which == nil {
			if l.policy(old) {
				l.reader = catalog.Reader{}
				last = last.Filter(l.next.Policy, old.Policy)
			}
			l.ownFiles()
		}
		var f *catalog.Files
		err := folder.CheckCode(l.next.Policy)
		if err == nil {
			before := l.reader
			f, err = l.reader.Read(l.next.Policy, which)
			if err == nil {
				err = folder.CheckCode(l.next.Policy) // other users may have added files during the reading
			}
			if err != nil {
				l.reader = before
			}
		}
		if l.refused.set("scripts", "", l.next.Policy.Scripts, err) && err != nil {
			l.cfg.Log.Error("read scripts and plugins: failed, the last good reading stays in service", "err", err)
		}
		if err != nil {
			f = last // the folder may come back: keep the files of the last reading, under the new policy
		}
		if f == nil { // no reading fits the new policy: keep the old one, and read the new one again later
			l.next.Policy, l.next.Credentials, l.next.Secrets = old.Policy, old.Credentials, old.Secrets
			l.policySum = [32]byte{}
			return
		}
		l.reportProblems(f)
		l.scripts(ctx, f)
		l.plugins(ctx, f)
		l.dropRefusals(f)
	})
}

// watchFolders watches the policy's folders and all folders below them.
func (l *Reloader) watchFolders() {
	if l.watched == nil {
		return
	}
	p := l.cfg.Current.Load().Policy
	if err := l.watched.Cover(p.Scripts, p.Plugins); l.refused.set("watching", "", p.Scripts, err) && err != nil {
		l.cfg.Log.Warn("not all folders can be watched: the host scans them instead; raise fs.inotify.max_user_watches",
			"every", rescanEvery, "err", err)
	}
}

// changedTenants returns the tenants with file events since the last call, nil for all tenants.
func (l *Reloader) changedTenants() map[object.Tenant]bool {
	paths, all := l.watched.Take()
	if all {
		return nil
	}
	root := l.cfg.Current.Load().Policy.Scripts
	which := map[object.Tenant]bool{}
	for _, path := range paths {
		rel, err := filepath.Rel(root, path)
		if err != nil || rel == "." {
			return nil
		}
		name, _, _ := strings.Cut(rel, string(filepath.Separator))
		which[object.Tenant(name)] = true
	}
	return which
}

// waitToSettle reports whether a failed file may be half written, and schedules a rescan.
// It returns false after maxSettleDelay, for a file that is written all the time.
func (l *Reloader) waitToSettle(id object.ID) bool {
	since, known := l.settling[id]
	if !known {
		since = time.Now()
		l.settling[id] = since
	}
	if time.Since(since) > maxSettleDelay {
		return false
	}
	l.unsettled[id.Tenant()] = true
	return true
}
