package reload

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/script"
)

// refusal is a Refusal with the refused version, which is not staged again unchanged.
type refusal struct {
	fault.Refusal
	version *script.Version
	tests   string // source of the tests that it failed
	plugin  *backend.Plugin
}

// refusals are the files that are not in force, by object, or by kind and name.
type refusals map[string]*refusal

// set sets the error of a key, or clears it with nil. It reports whether the error
// changed.
func (r refusals) set(key string, id object.ID, path string, err error) bool {
	before := r[key]
	if err == nil {
		delete(r, key)
		return before != nil
	}
	if before != nil && before.Err == fault.Text(err) {
		return false
	}
	r[key] = &refusal{Refusal: fault.Refusal{ID: id, Path: path, Err: fault.Text(err), At: time.Now()}}
	return true
}

// reportProblems updates the refusals of unusable files, and logs the new ones.
func (l *Reloader) reportProblems(f *catalog.Files) {
	all := slices.Clone(f.Problems)
	for _, t := range f.Tenants {
		all = append(all, t.Problems...)
	}
	now := map[string]bool{}
	for _, p := range all {
		key := "file " + p.Path
		now[key] = true
		if l.refused.set(key, "", p.Path, p.Err) {
			l.refused[key].Note = p.Warning
			l.cfg.Log.Warn("not served", "path", p.Path, "err", p.Err)
		}
	}
	for key := range l.refused {
		if strings.HasPrefix(key, "file ") && !now[key] {
			delete(l.refused, key)
		}
	}
}

// dropRefusals removes the state of objects that have neither a file nor a served version.
func (l *Reloader) dropRefusals(f *catalog.Files) {
	maps.DeleteFunc(l.settling, func(id object.ID, _ time.Time) bool { return !f.Has(id) })
	maps.DeleteFunc(l.refused, func(_ string, r *refusal) bool {
		return r.ID != "" && !f.Has(r.ID) && !l.next.Backends.Has(r.ID)
	})
}

// list returns the refusals for other goroutines, with the listings of a policy.
func (r refusals) list(p *policy.Policy) *fault.Refusals {
	out := fault.Refusals{All: make([]fault.Refusal, 0, len(r))}
	for _, key := range slices.Sorted(maps.Keys(r)) {
		one := r[key].Refusal
		out.All = append(out.All, one)
		if one.ID != "" {
			out.IDs = append(out.IDs, one.ID)
		}
	}
	slices.Sort(out.IDs)
	out.IDs = slices.Compact(out.IDs)
	out.Listed = p.NewListings(out.IDs)
	return &out
}

// ownFiles notes the faults of the host's own files: its folders, the audit log, keys, certificates and secrets. The
// host continues to serve. The reader of credentials logs their faults.
func (l *Reloader) ownFiles() {
	now := map[string]bool{}
	note := func(p fault.Fault) (news bool) {
		key := "own " + p.Path
		for now[key] {
			key += "+" // another fault of the same file
		}
		now[key] = true
		news = l.refused.set(key, "", p.Path, p.Err)
		l.refused[key].Note = p.Warning
		return news
	}
	for _, p := range l.folders.Faults(l.next.Policy) {
		if note(p) {
			l.cfg.Log.Error("a folder of the host is not safe or not writable; it stays in use",
				"path", p.Path, "err", p.Err)
		}
	}
	for _, p := range credential.Faults(l.next.Policy, l.next.Credentials, l.next.Secrets, time.Now()) {
		note(p)
	}
	maps.DeleteFunc(l.refused, func(key string, _ *refusal) bool { return strings.HasPrefix(key, "own ") && !now[key] })
}
