package host

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/folder"
	"github.com/hearthhost/hearth/host/history"
	"github.com/hearthhost/hearth/internal/watch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// Delays and bounds of finding and applying changes.
const (
	rescanEvery    = 5 * time.Second        // interval of full scans, for changes without events
	maxSettleDelay = 5 * time.Second        // bound on it for a file that is written all the time
	settleRounds   = 25                     // rescans of the same length, after which Reload stops waiting
	idleFactor     = 4                      // minimum pause after a scan for events, in durations of the scan
	settlePoll     = 200 * time.Millisecond // interval of rescans while a file is settling
	maxStaged      = 100                    // new objects of a tenant in one scan; if there are more, none is staged
	maxJobs        = 8                      // jobs that hold a slot at a time
	maxSlot        = time.Second            // time after which a job loses its slot
	jobTimeout     = time.Minute            // time limit of a job
)

// reloader builds the next snapshot from the current files and puts it in force. It belongs
// to one goroutine: first the caller of New, then watch. Tenants' code may be slow, so it
// runs in jobs, at most one for each tenant or plugin. The reloader's goroutine applies
// their results.
type reloader struct {
	h       *Host
	reader  catalog.Reader
	watched *watch.Folders // nil: no file events

	next       *generation            // under construction, only during change
	retired    []backend.Retirer      // backends that the next snapshot lacks
	afterStore []func()               // run after the next snapshot is stored
	unsettled  map[object.Tenant]bool // tenants with settling files

	policySum    [32]byte                   // SHA-256 of the policy file at its last reading
	policyInfo   fs.FileInfo                // its metadata then
	missing      map[object.ID]time.Time    // first time without a file; still served
	settling     map[object.ID]time.Time    // first time that the file may have been half written
	refused      map[string]*refusal        // refusals by object, or by kind and name
	jobs         map[string]uint64          // running jobs by key, with their sequence number
	jobCount     uint64                     // sequence number of the last job
	changedInJob map[object.Tenant]bool     // tenants that changed during their job
	finished     chan func(old *generation) // results of jobs
	slots        chan struct{}              // one token for each job of the last maxSlot
	requests     chan func(context.Context) // functions of other goroutines to run here
	history      history.Store
	folders      folder.Probe
	waiters      []*waiter // callers of Reload
}

// waiter is a Reload that waits until all changes are applied.
type waiter struct {
	done    chan struct{}
	rounds  int    // rescans and ended jobs since its start
	lastJob uint64 // last job to wait for; 0: wait for settling files too
}

// reloads counts the applied and the refused changes of objects, plugins and policies.
type reloads struct {
	accepted, refused atomic.Uint64
	last              atomic.Int64 // time of the last applied change, in ns since 1970; 0: none
}

func (r *reloads) accept() {
	r.accepted.Add(1)
	r.last.Store(time.Now().UnixNano())
}

func newReloader(h *Host) *reloader {
	return &reloader{
		h:            h,
		unsettled:    map[object.Tenant]bool{},
		missing:      map[object.ID]time.Time{},
		settling:     map[object.ID]time.Time{},
		refused:      map[string]*refusal{},
		jobs:         map[string]uint64{},
		changedInJob: map[object.Tenant]bool{},
		finished:     make(chan func(*generation)),
		slots:        make(chan struct{}, maxJobs),
		requests:     make(chan func(context.Context)),
		history: history.Store{
			Dir:       filepath.Join(h.cfg.Policy.State, "history"),
			MaxBytes:  history.DefaultMaxBytes,
			HostStart: time.Now(),
		},
	}
}

// Reload scans all files and returns once every change is served or refused. It does not
// wait for files that keep changing beyond settleRounds rescans. The host also applies
// changes automatically, within seconds. Reload returns the cause of ctx if ctx is done
// first; a host that does not serve never completes it.
func (h *Host) Reload(ctx context.Context) error {
	answer := make(chan struct{})
	err := h.inReloader(ctx, func(ctx context.Context) {
		h.reloader.waiters = append(h.reloader.waiters, &waiter{done: answer})
		snap := h.snap.Load()
		snap.Credentials.Refresh(time.Now())
		if snap.secrets.Refresh() {
			snap.Backends.SetSecrets(snap.secrets)
		}
		for _, r := range h.reloader.refused { // an explicit reload stages unchanged failures again
			r.version, r.plugin = nil, nil
		}
		h.reloader.reload(ctx, nil)
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

// first builds the host's first snapshot. A missing scripts folder is an error.
func (l *reloader) first() error {
	p := l.h.snap.Load().Policy
	l.policySum = p.Sum
	f, err := l.reader.Read(p, nil)
	if err != nil {
		return err
	}
	l.change(func(*generation) {
		l.reportProblems(f)
		l.scripts(context.Background(), f)
		l.plugins(context.Background(), f)
	})
	return nil
}

// watch applies changes until ctx is done, and then waits for the running jobs.
func (l *reloader) watch(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer l.drain()
	defer cancel()
	var events <-chan struct{}
	if w, err := watch.New(); err != nil {
		l.h.log.Warn("no file events: the host scans all files instead; raise fs.inotify.max_user_instances",
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
		case do := <-l.finished:
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
func (l *reloader) countRound() {
	for _, a := range l.waiters {
		a.rounds++
	}
}

// complete completes a waiter when no file is settling and no job runs. After settleRounds
// it waits only for the jobs that were running then.
func (l *reloader) complete(a *waiter) bool {
	quiet := len(l.unsettled) == 0 && len(l.jobs) == 0
	if !quiet && a.lastJob == 0 && a.rounds > settleRounds && len(l.changedInJob) == 0 {
		a.lastJob = max(l.jobCount, 1)
	}
	for _, n := range l.jobs {
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
func (l *reloader) drain() {
	for len(l.jobs) > 0 {
		l.change(<-l.finished)
	}
}

// startJob runs run in a new goroutine, and then finish in the reloader's goroutine, during
// change. No job of the same key may be running.
//
// A slot limits the jobs that start at once. A job that runs longer than maxSlot loses its
// slot and continues: slow code of one tenant must not delay the jobs of the others.
func (l *reloader) startJob(ctx context.Context, key string, run func(context.Context), finish func(old *generation)) {
	l.jobCount++
	l.jobs[key] = l.jobCount
	go func() { // ends with run, which ctx bounds
		l.slots <- struct{}{}
		release := sync.OnceFunc(func() { <-l.slots })
		expire := time.AfterFunc(maxSlot, release)
		ctx, cancel := context.WithTimeout(ctx, jobTimeout)
		run(ctx)
		cancel()
		expire.Stop()
		release()
		l.finished <- func(old *generation) {
			delete(l.jobs, key)
			finish(old)
		}
	}()
}

// change builds the next snapshot with do, which gets the last one, and puts it in force.
func (l *reloader) change(do func(old *generation)) {
	old := l.h.snap.Load()
	next := *old
	next.starting = false
	next.Backends = old.Backends.Clone()
	l.next, l.retired, l.afterStore = &next, nil, nil
	do(old)
	next.index(old, l.h.builtin)
	l.h.usage.Add(next.IDs)
	l.h.snap.Store(&next)
	if next.Policy != old.Policy { // first: no other work may delay a revocation
		l.h.pyro.CutRevoked(time.Now())
		l.h.dispatch.Withdraw(&old.Snapshot, nil)
		l.h.shares.ApplyPolicy(next.Policy)
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
		next.Backends.SetSecrets(next.secrets)
	}
	l.h.dispatch.ForgetBackends(next.Routes)
	for _, b := range l.retired {
		l.h.backends.Retire(l.h.life, b)
	}
	l.publish()
	for _, report := range l.afterStore {
		report()
	}
}

// reload applies the changes in the files of some tenants. If which is nil it reads the
// policy and all files.
func (l *reloader) reload(ctx context.Context, which map[object.Tenant]bool) {
	waited := l.unsettled // the scan below adds the tenants that are still settling
	l.unsettled = map[object.Tenant]bool{}
	if which != nil {
		maps.Copy(l.unsettled, waited)
		maps.DeleteFunc(l.unsettled, func(t object.Tenant, _ bool) bool { return which[t] })
	}
	l.change(func(old *generation) {
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
		if l.setRefusal("scripts", "", l.next.Policy.Scripts, err) && err != nil {
			l.h.log.Error("read scripts and plugins: failed, the last good reading stays in service", "err", err)
		}
		if err != nil {
			f = last // the folder may come back: keep the files of the last reading, under the new policy
		}
		if f == nil { // no reading fits the new policy: keep the old one, and read the new one again later
			l.next.Policy, l.next.Credentials, l.next.secrets = old.Policy, old.Credentials, old.secrets
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
func (l *reloader) watchFolders() {
	if l.watched == nil {
		return
	}
	p := l.h.snap.Load().Policy
	if err := l.watched.Cover(p.Scripts, p.Plugins); l.setRefusal("watching", "", p.Scripts, err) && err != nil {
		l.h.log.Warn("not all folders can be watched: the host scans them instead; raise fs.inotify.max_user_watches",
			"every", rescanEvery, "err", err)
	}
}

// changedTenants returns the tenants with file events since the last call, nil for all tenants.
func (l *reloader) changedTenants() map[object.Tenant]bool {
	paths, all := l.watched.Take()
	if all {
		return nil
	}
	root := l.h.snap.Load().Policy.Scripts
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
func (l *reloader) waitToSettle(id object.ID) bool {
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

// refusal is a Refusal with the refused version, which is not staged again unchanged.
type refusal struct {
	Refusal
	version *supervise.Version
	tests   string // source of the tests that it failed
	plugin  *backend.Plugin
}

// setRefusal sets the error of a key, or clears it with nil. It reports whether the error
// changed.
func (l *reloader) setRefusal(key string, id object.ID, path string, err error) bool {
	before := l.refused[key]
	if err == nil {
		delete(l.refused, key)
		return before != nil
	}
	if before != nil && before.Err == errorText(err) {
		return false
	}
	l.refused[key] = &refusal{Refusal: Refusal{ID: id, Path: path, Err: errorText(err), At: time.Now()}}
	return true
}

// reportProblems updates the refusals of unusable files, and logs the new ones.
func (l *reloader) reportProblems(f *catalog.Files) {
	all := slices.Clone(f.Problems)
	for _, t := range f.Tenants {
		all = append(all, t.Problems...)
	}
	now := map[string]bool{}
	for _, p := range all {
		key := "file " + p.Path
		now[key] = true
		if l.setRefusal(key, "", p.Path, p.Err) {
			l.refused[key].Note = p.Warning
			l.h.log.Warn("not served", "path", p.Path, "err", p.Err)
		}
	}
	for key := range l.refused {
		if strings.HasPrefix(key, "file ") && !now[key] {
			delete(l.refused, key)
		}
	}
}

// dropRefusals removes the state of objects that have neither a file nor a served version.
func (l *reloader) dropRefusals(f *catalog.Files) {
	maps.DeleteFunc(l.settling, func(id object.ID, _ time.Time) bool { return !f.Has(id) })
	maps.DeleteFunc(l.refused, func(_ string, r *refusal) bool {
		return r.ID != "" && !f.Has(r.ID) && !l.next.Backends.Has(r.ID)
	})
}

// publish stores the current refusals for other goroutines.
func (l *reloader) publish() {
	out := fault.Refusals{All: make([]fault.Refusal, 0, len(l.refused))}
	for _, key := range slices.Sorted(maps.Keys(l.refused)) {
		r := l.refused[key].Refusal
		out.All = append(out.All, r)
		if r.ID != "" {
			out.IDs = append(out.IDs, r.ID)
		}
	}
	slices.Sort(out.IDs)
	out.IDs = slices.Compact(out.IDs)
	out.Listed = l.next.Policy.NewListings(out.IDs)
	l.h.refusals.Store(&out)
}

// Refusals returns the files whose current content is not served.
func (h *Host) Refusals() []Refusal { return h.refusals.Load().All }

// Refusal is a file whose current content is not served, or another of the host's files with a mistake.
type Refusal = fault.Refusal

// errorText returns an error's text for operators: the cause, if callers get another text.
func errorText(err error) string {
	var e *object.Error
	switch {
	case !errors.As(err, &e) || e.Msg == "":
		return err.Error()
	case e.Err != nil:
		return e.Err.Error()
	}
	return e.Msg
}

// record writes an event of an object into the audit log. It does not wait for the disk: the
// log keeps the order, so later decisions come after the event.
func (h *Host) record(event string, id object.ID, detail string) {
	if h.audit != nil {
		h.audit.PostNote(event, "object", string(id), "detail", detail)
	}
}

// ownFiles notes the faults of the host's own files: its folders, the audit log, keys, certificates and secrets. The
// host continues to serve. The reader of credentials logs their faults.
func (l *reloader) ownFiles() {
	now := map[string]bool{}
	note := func(p fault.Fault) (news bool) {
		key := "own " + p.Path
		for now[key] {
			key += "+" // another fault of the same file
		}
		now[key] = true
		news = l.setRefusal(key, "", p.Path, p.Err)
		l.refused[key].Note = p.Warning
		return news
	}
	for _, p := range l.folders.Faults(l.next.Policy) {
		if note(p) {
			l.h.log.Error("a folder of the host is not safe or not writable; it stays in use",
				"path", p.Path, "err", p.Err)
		}
	}
	for _, p := range credential.Faults(l.next.Policy, l.next.Credentials, l.next.secrets, time.Now()) {
		note(p)
	}
	maps.DeleteFunc(l.refused, func(key string, _ *refusal) bool { return strings.HasPrefix(key, "own ") && !now[key] })
}
