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

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/internal/watch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// How changes are found and taken.
const (
	rescanEvery    = 5 * time.Second        // everything is looked at, for what no event told of
	settleDelay    = time.Second            // before a file that is gone, or half written, is believed
	maxSettleDelay = 5 * time.Second        // however often it is written meanwhile
	settleRounds   = 25                     // of looking again, which is as long: who waits for a reload waits no longer
	idleFactor     = 4                      // after a look because of events comes so many times as long without one
	settlePoll     = 200 * time.Millisecond // when something has to settle
	maxStaged      = 100                    // new objects of a tenant at once that are tried before their first call
	maxJobs        = 8                      // tenants and plugins that are begun with at a time
	maxSlot        = time.Second            // how long one of them keeps others from that
	jobTimeout     = time.Minute            // for all that is tried of one
)

// reloader makes the next snapshot of the files as they are now, and serves it. It belongs
// to one goroutine, first New's and then that of watch. What runs tenants' code, which may
// take its time, runs beside it as a job, one a tenant or plugin; what a job found is taken
// into service here again.
type reloader struct {
	h       *Host
	reader  folderReader
	watched *watch.Folders // nil: there are no events

	next       *generation             // being made
	cleanups   []func(context.Context) // ends what the last snapshot had
	afterStore []func()                // runs after the next snapshot is stored
	unsettled  map[object.Tenant]bool  // whose files have to settle

	policySum    [32]byte                   // of the policy file as it was looked at last
	policyInfo   fs.FileInfo                // when it was
	missing      map[object.ID]time.Time    // missing since then, and still served
	settling     map[object.ID]time.Time    // may have been half written since then
	refused      map[string]*refusal        // by object, or by what else it is
	jobs         map[string]uint64          // under way, and the how manieth each is
	jobCount     uint64                     // jobs
	changedInJob map[object.Tenant]bool     // has changed during its job
	finished     chan func(old *generation) // what jobs want to have done
	slots        chan struct{}              // holds one for each job that has begun just now
	requests     chan func(context.Context) // what others want this goroutine to do
	history      history
	folders      folderLook
	waiters      []*waiter // answered when all is taken
}

// waiter is somebody who waits until what has changed is taken.
type waiter struct {
	done    chan struct{}
	rounds  int    // of looking again, and of jobs that have ended, since
	lastJob uint64 // of jobs; 0: it may settle yet
}

// reloads counts what was taken and what was refused: objects, plugins and policies.
type reloads struct {
	accepted, refused atomic.Uint64
	last              atomic.Int64 // when something was taken, in ns since 1970; 0: never
}

func (r *reloads) accept() {
	r.accepted.Add(1)
	r.last.Store(time.Now().UnixNano())
}

func newReloader(h *Host) *reloader {
	return &reloader{h: h, missing: map[object.ID]time.Time{}, settling: map[object.ID]time.Time{}, unsettled: map[object.Tenant]bool{}, refused: map[string]*refusal{}, jobs: map[string]uint64{},
		changedInJob: map[object.Tenant]bool{}, finished: make(chan func(*generation)), slots: make(chan struct{}, maxJobs), requests: make(chan func(context.Context)),
		history: history{dir: filepath.Join(h.cfg.Policy.State, "history"), maxBytes: maxHistoryBytes, hostStart: time.Now()}}
}

// Reload has the host look at all its files now, and returns when what has changed is
// served or refused; what goes on changing, when that was looked at for long. Without it that happens
// by itself, soon. It is an error if ctx is done before, or the host does not serve.
func (h *Host) Reload(ctx context.Context) error {
	answer := make(chan struct{})
	err := h.inReloader(ctx, func(ctx context.Context) {
		h.reloader.waiters = append(h.reloader.waiters, &waiter{done: answer})
		snap := h.snap.Load()
		snap.Credentials.Refresh(time.Now())
		if snap.secrets.Refresh() {
			h.grantSecrets(snap)
		}
		for _, r := range h.reloader.refused { // what is asked for is tried again, as it is
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

// first makes the snapshot that the host starts with. A missing folder of scripts is an
// error.
func (l *reloader) first() error {
	p := l.h.snap.Load().Policy
	l.policySum = p.Sum
	f, err := l.reader.read(p, nil)
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

// watch takes changes as they come, until ctx is done.
func (l *reloader) watch(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer l.drain()
	defer cancel()
	var events <-chan struct{}
	if w, err := watch.New(); err != nil {
		l.h.log.Warn("no file events: changes are found by looking; raise fs.inotify.max_user_instances", "every", rescanEvery, "err", err)
	} else {
		defer func() { _ = w.Close() }()
		l.watched, events = w, w.Changed()
	}
	rescan, again, look, rest := time.NewTicker(rescanEvery), time.NewTimer(0), time.NewTicker(lookEvery), time.NewTimer(0)
	defer rescan.Stop()
	defer again.Stop()
	defer look.Stop()
	defer rest.Stop()
	heard := events                // nil while the reloader rests
	covered, armed := false, false // again is set
	for {
		select {
		case <-ctx.Done():
			return
		case <-heard:
			// Whoever owns a folder can change it without end: that is not all that is done.
			begun := time.Now()
			l.reload(ctx, l.changedTenants())
			heard = nil
			rest.Reset(idleFactor * time.Since(begun))
		case <-rest.C:
			heard = events
		case <-again.C:
			armed = false
			l.countRound()
			if !covered {
				covered = true
				l.watchFolders()
				l.reload(ctx, nil)
			} else if len(l.unsettled) > 0 {
				l.reload(ctx, l.unsettled)
			}
		case <-rescan.C:
			l.watchFolders()
			l.reload(ctx, nil)
		case <-look.C:
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
			again.Reset(settlePoll)
		}
		l.waiters = slices.DeleteFunc(l.waiters, l.complete)
	}
}

// round notes that something has been looked at again.
func (l *reloader) countRound() {
	for _, a := range l.waiters {
		a.rounds++
	}
}

// answered answers somebody who waits if nothing has to settle and no job is under way; or,
// when something did not settle in many rounds, if none is that was then.
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

// drain waits for the jobs, whose context is done.
func (l *reloader) drain() {
	for len(l.jobs) > 0 {
		l.change(<-l.finished)
	}
}

// start runs something beside the reloader, unless that of the same key still runs. finish
// is what to do with what it found; next is being made then.
//
// A slot keeps many from being begun at once; what takes long is its tenant's own doing, and
// nobody waits for it: it goes on without one, as its calls would, in the tenant's worker.
func (l *reloader) startJob(ctx context.Context, key string, run func(context.Context), finish func(old *generation)) {
	l.jobCount++
	l.jobs[key] = l.jobCount
	go func() { // ends with run, which ctx bounds
		l.slots <- struct{}{}
		giveBack := sync.OnceFunc(func() { <-l.slots })
		long := time.AfterFunc(maxSlot, giveBack)
		ctx, cancel := context.WithTimeout(ctx, jobTimeout)
		run(ctx)
		cancel()
		long.Stop()
		giveBack()
		l.finished <- func(old *generation) {
			delete(l.jobs, key)
			finish(old)
		}
	}()
}

// change makes the next snapshot by do, given the last, and serves it.
func (l *reloader) change(do func(old *generation)) {
	old := l.h.snap.Load()
	next := *old
	next.starting = false
	next.tenants, next.plugins = maps.Clone(old.tenants), maps.Clone(old.plugins)
	l.next, l.cleanups, l.afterStore = &next, nil, nil
	do(old)
	next.index(old, l.h.builtin)
	l.h.ledger.Add(next.IDs)
	l.h.snap.Store(&next)
	if next.Policy != old.Policy { // first, as nothing else may delay it
		l.h.cutRevoked(time.Now())
		l.h.dispatch.Withdraw(&old.Snapshot, nil)
		l.h.shares.ApplyPolicy(next.Policy)
	}
	// What was in force until now may be gone.
	for name, was := range old.tenants {
		now := next.tenants[name]
		if now == nil || now.worker != was.worker {
			continue // all of it leaves
		}
		var gone []object.ID
		for id := range was.objects {
			if now.objects[id] == nil {
				gone = append(gone, id)
			}
		}
		if len(gone) > 0 {
			now.worker.Remove(gone...)
		}
	}
	if next.Policy != old.Policy {
		l.h.grantSecrets(&next)
	}
	l.h.dispatch.ForgetBackends(next.Routes)
	for _, leave := range l.cleanups {
		l.h.leaving.Go(func() { leave(l.h.life) })
	}
	l.publish()
	for _, report := range l.afterStore {
		report()
	}
}

// reload takes what has changed: of some tenants' files, or of all files and the policy if
// which is nil.
func (l *reloader) reload(ctx context.Context, which map[object.Tenant]bool) {
	waited := l.unsettled // who still waits says so again
	l.unsettled = map[object.Tenant]bool{}
	if which != nil {
		maps.Copy(l.unsettled, waited)
		maps.DeleteFunc(l.unsettled, func(t object.Tenant, _ bool) bool { return which[t] })
	}
	l.change(func(old *generation) {
		last := l.reader.last
		if which == nil {
			if l.policy(old) {
				l.reader = folderReader{}
				last = last.filter(l.next.Policy, old.Policy)
			}
			l.ownFiles()
		}
		var f *files
		err := ownFolders(l.next.Policy)
		if err == nil {
			f, err = l.reader.read(l.next.Policy, which)
		}
		if l.setRefusal("scripts", "", l.next.Policy.Scripts, err) && err != nil {
			l.h.log.Error("scripts and plugins were not read: what was read last stays in service", "err", err)
		}
		if err != nil {
			f = last // the folder may come back: files that were read stay, and the policy counts
		}
		if f == nil {
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

// cover watches the folders that the policy names, and what was made below them.
func (l *reloader) watchFolders() {
	if l.watched == nil {
		return
	}
	p := l.h.snap.Load().Policy
	if err := l.watched.Cover(p.Scripts, p.Plugins); l.setRefusal("watching", "", p.Scripts, err) && err != nil {
		l.h.log.Warn("not all folders can be watched: changes there are found by looking; raise fs.inotify.max_user_watches", "every", rescanEvery, "err", err)
	}
}

// taken returns the tenants whose files may have changed, nil for all of them.
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

// ripens reports whether an object whose file was written just now may be half written, and
// has it looked at again; somebody who writes it all the time is not waited for.
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

// leaver is what ends when its last call has.
type retirer interface {
	Retire(ctx context.Context)
	Close(ctx context.Context) error
}

// stragglers is how long a call may be on its way to what the snapshot before had.
const drainDelay = time.Second

// leave ends something that nobody new is told of: once nothing is under way in it, or its
// time is over, or ctx is done.
func retire(backend retirer) func(ctx context.Context) {
	return func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, lingerTimeout)
		defer cancel()
		select {
		case <-time.After(drainDelay):
			backend.Retire(ctx)
		case <-ctx.Done():
		}
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		_ = backend.Close(ending)
	}
}

// lingerTimeout bounds how long streams go on in what is no longer served.
const lingerTimeout = time.Minute

// refusal is a Refusal with what it is about, so that it is not tried again as it is.
type refusal struct {
	Refusal
	version *supervise.Version
	tests   string // that it had to pass
	plugin  *pluginRuntime
}

// refuse notes that something is wrong, or with nil that it no longer is. It reports
// whether that is news.
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

// problems tells of what lies in the folders and is not served.
func (l *reloader) reportProblems(f *files) {
	all := slices.Clone(f.problems)
	for _, t := range f.tenants {
		all = append(all, t.problems...)
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

// forget drops the refusals of what neither lies in the folders any more nor is served.
func (l *reloader) dropRefusals(f *files) {
	maps.DeleteFunc(l.settling, func(id object.ID, _ time.Time) bool { return !f.has(id) })
	maps.DeleteFunc(l.refused, func(_ string, r *refusal) bool { return r.ID != "" && !f.has(r.ID) && !l.next.has(r.ID) })
}

// publish makes known what is refused.
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

// Refusals returns what is not served, or not as it lies in its file.
func (h *Host) Refusals() []Refusal { return h.refusals.Load().All }

// Refusal is a file that is not served as it is, or another of the host's files with a mistake.
type Refusal = fault.Refusal

// errorText is an error as an operator reads it: the cause, if callers are told another thing.
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

// record writes into the audit log what has happened to an object. It does not wait for the disk: decisions that come
// later are behind it.
func (h *Host) record(event string, id object.ID, detail string) {
	if h.audit != nil {
		h.audit.PostNote(event, "object", string(id), "detail", detail)
	}
}
