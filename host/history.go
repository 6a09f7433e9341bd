package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// Bounds on what is kept: versions of an object, and bytes of a tenant's objects, those that
// are gone included. A tenant may change its files as often as it likes, and what fills the
// state folder keeps the audit log from being written.
const (
	maxHistory      = 10
	maxHistoryBytes = 64 << 20
	minVersionBytes = 4 << 10 // that a file takes
)

// VersionInfo is one version of an object that was served, or is.
type VersionInfo struct {
	Version string    `json:"version"` // of its script and modules, as the log names it
	Taken   time.Time `json:"taken"`   // into service
	// AtStart reports that it served when the host started. Taken is the time of the start then: when
	// the version came into service first is not known.
	AtStart bool `json:"at_start,omitempty"`
	Serving bool `json:"serving"`
	// InFile says that it is what lies in the scripts folder. Another one serves if it was
	// refused, or after a rollback.
	InFile bool `json:"in_file"`
}

// history keeps the versions of objects that have changed, each in a file of the state
// folder, so that one can be put back.
type history struct {
	dir      string
	maxBytes int64 // bytes of a tenant; maxHistoryBytes but in tests

	hostStart time.Time // start of the host

	mu      sync.Mutex              // guards held and took; held while files are removed
	size    map[object.Tenant]int64 // bytes
	written map[object.Tenant]int64 // bytes ever

	timing      sync.Mutex              // guards since
	firstServed map[object.ID]time.Time // when objects that are new since the host's start came into service
}

// pastVersion is such a file.
type storedVersion struct {
	Version string            `json:"version"`
	Taken   time.Time         `json:"taken"`
	AtStart bool              `json:"at_start,omitempty"`
	File    string            `json:"file"`
	Source  []byte            `json:"source"`
	Libs    map[string][]byte `json:"libs,omitempty"` // those that the script may ask for

	path string
}

func (h *history) folder(id object.ID) string { return filepath.Join(h.dir, string(id)) }

// appear notes that an object has its first version since now.
func (h *history) noteNew(id object.ID) {
	h.timing.Lock()
	defer h.timing.Unlock()
	if h.firstServed == nil {
		h.firstServed = map[object.ID]time.Time{}
	}
	h.firstServed[id] = time.Now()
}

// vanish notes that an object is gone.
func (h *history) noteRemoved(id object.ID) {
	h.timing.Lock()
	defer h.timing.Unlock()
	delete(h.firstServed, id)
}

// first returns when an object's first version since the host's start came into service, and whether
// that was at the start.
func (h *history) servedSince(id object.ID) (at time.Time, atStart bool) {
	h.timing.Lock()
	defer h.timing.Unlock()
	if at, ok := h.firstServed[id]; ok {
		return at, false
	}
	return h.hostStart, true
}

// add keeps a version, and forgets the oldest of too many. One that is the newest already
// is not kept twice.
func (h *history) add(v *supervise.Version, taken time.Time, atStart bool) error {
	all, err := h.names(v.ID)
	if err != nil {
		return err
	}
	sum := sumOf(v)
	if n := len(all); n > 0 && isVersion(all[n-1], sum) {
		return nil
	}
	past := storedVersion{Version: sum, Taken: taken.UTC(), AtStart: atStart, File: v.Script.File, Source: v.Script.Source,
		Libs: map[string][]byte{}}
	for name, lib := range versionModules(v) {
		past.Libs[name] = lib.Source
	}
	text, err := json.Marshal(past)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(h.folder(v.ID), 0o700); err != nil {
		return err
	}
	name := fmt.Sprintf("%019d-%s.json", taken.UnixNano(), sum)
	if err := h.reserve(v.ID.Tenant(), max(int64(len(text)), minVersionBytes)); err != nil {
		return err
	}
	if err := safefile.Replace(filepath.Join(h.folder(v.ID), name), text, 0o600); err != nil {
		return err
	}
	var errs []error
	for len(all) >= maxHistory {
		errs = append(errs, os.Remove(filepath.Join(h.folder(v.ID), all[0])))
		all = all[1:]
	}
	return errors.Join(errs...)
}

// room takes so many bytes of what a tenant may have, and removes its oldest versions if they
// are too many. What was removed otherwise counts until then.
func (h *history) reserve(tenant object.Tenant, bytes int64) error {
	if bytes > h.maxBytes/16 {
		return fmt.Errorf("with the modules that it may ask for it has more than %d bytes", h.maxBytes/16)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	held, known := h.size[tenant]
	if !known || held+bytes > h.maxBytes {
		var err error
		if held, err = h.trim(tenant, h.maxBytes*3/4); err != nil {
			return err
		}
	}
	if h.size == nil {
		h.size, h.written = map[object.Tenant]int64{}, map[object.Tenant]int64{}
	}
	h.size[tenant] = held + bytes
	h.written[tenant] += bytes
	return nil
}

// ever returns how many bytes were written of a tenant's versions.
func (h *history) totalWritten(tenant object.Tenant) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.written[tenant]
}

// trim removes the oldest versions of a tenant's objects beyond so many bytes, and returns how
// many there are then.
func (h *history) trim(tenant object.Tenant, most int64) (held int64, err error) {
	objects, err := os.ReadDir(h.dir)
	if err != nil {
		return 0, err
	}
	type kept struct {
		name, path string
		bytes      int64
	}
	var all []kept
	for _, o := range objects {
		if object.ID(o.Name()).Tenant() != tenant {
			continue
		}
		versions, err := os.ReadDir(filepath.Join(h.dir, o.Name()))
		if err != nil {
			return 0, err
		}
		for _, v := range versions {
			if info, err := v.Info(); err == nil && v.Name() != overrideFile {
				all = append(all, kept{v.Name(), filepath.Join(h.dir, o.Name(), v.Name()), max(info.Size(), minVersionBytes)})
				held += all[len(all)-1].bytes
			}
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return strings.Compare(a.name, b.name) })
	for _, v := range all {
		if held <= most {
			break
		}
		if err := os.Remove(v.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		_ = os.Remove(filepath.Dir(v.path)) // if that was its last
		held -= v.bytes
	}
	return held, nil
}

// names returns the names of the files of an object's versions, oldest first: they begin with
// the time, and end with the version.
func (h *history) names(id object.ID) (names []string, err error) {
	entries, err := os.ReadDir(h.folder(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries { // sorted
		if !strings.HasPrefix(e.Name(), ".") && e.Name() != overrideFile && strings.HasSuffix(e.Name(), ".json") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// isVersion reports whether a file has this name because it holds this version.
func isVersion(name, version string) bool { return strings.HasSuffix(name, "-"+version+".json") }

// list returns the versions of an object that were kept, oldest first.
func (h *history) list(id object.ID) ([]storedVersion, error) {
	names, err := h.names(id)
	if err != nil {
		return nil, err
	}
	var all []storedVersion
	for _, name := range names {
		past := storedVersion{path: filepath.Join(h.folder(id), name)}
		text, err := os.ReadFile(past.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // to make room
		}
		if err == nil {
			err = json.Unmarshal(text, &past)
		}
		if err != nil {
			return nil, fmt.Errorf("history of %s: %w", id, err)
		}
		all = append(all, past)
	}
	return all, nil
}

// insteadFile says which version serves instead of the one that lies in the scripts folder,
// after a rollback.
const overrideFile = "instead.json"

// instead is that file: it counts as long as Of lies there.
type override struct {
	Of      string `json:"of"`
	Version string `json:"version"`
}

// setInstead has a version serve instead of another from now on; no longer, if they are the
// same.
func (h *history) setOverride(id object.ID, i override) error {
	path := filepath.Join(h.folder(id), overrideFile)
	if i.Of == i.Version {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return safefile.Replace(path, text, 0o600)
}

// insteadOf returns the version that serves instead of one, nil if none does.
func (h *history) overrideFor(v *supervise.Version) (*storedVersion, error) {
	text, err := os.ReadFile(filepath.Join(h.folder(v.ID), overrideFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var i override
	if err == nil {
		err = json.Unmarshal(text, &i)
	}
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", v.ID, err)
	}
	if i.Of != sumOf(v) {
		return nil, nil
	}
	all, err := h.list(v.ID)
	if err != nil {
		return nil, err
	}
	n := slices.IndexFunc(all, func(p storedVersion) bool { return p.Version == i.Version })
	if n < 0 {
		return nil, fmt.Errorf("history of %s: version %s is not kept any more", v.ID, i.Version)
	}
	return &all[n], nil
}

// again makes a version of what was kept.
func (p *storedVersion) toVersion(id object.ID, limits object.Limits) *supervise.Version {
	libs := make(map[string]supervise.Script, len(p.Libs))
	for name, source := range p.Libs {
		libs[name] = supervise.Script{File: string(id.Tenant()) + "/lib/" + strings.ReplaceAll(name, ".", "/") + ".lua", Source: source}
	}
	return supervise.NewVersion(id, supervise.Script{File: p.File, Source: p.Source}, supervise.NewLibs(libs), limits)
}
