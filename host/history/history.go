// Package history stores the replaced versions of objects, so that an operator can return to one.
package history

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

	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/script"
)

// Bounds of the history: versions of an object, and bytes of a tenant with its removed
// objects. A tenant can change its files all the time, and a full disk stops the audit log.
const (
	maxHistory      = 10
	DefaultMaxBytes = 64 << 20 // of one tenant
	minVersionBytes = 4 << 10  // disk space that a small file takes
)

// VersionInfo describes a version that serves an object or did so before.
type VersionInfo struct {
	Version string    `json:"version"` // checksum of the script and its modules, as in the log
	Taken   time.Time `json:"taken"`   // time of its activation
	// AtStart is true if the version served when the host started. Taken is then the time of that start,
	// because the first activation is unknown.
	AtStart bool `json:"at_start,omitempty"`
	Serving bool `json:"serving"`
	// InFile is true if the scripts folder has this version. Another version serves if this
	// one was refused, or after a rollback.
	InFile bool `json:"in_file"`
}

// Store stores replaced versions of objects for a rollback. Each version is one file of
// the state folder.
type Store struct {
	Dir      string
	MaxBytes int64 // quota of a tenant; DefaultMaxBytes except in tests

	HostStart time.Time // start time of the host

	mu      sync.Mutex              // guards size and written; held while files are removed
	size    map[object.Tenant]int64 // bytes in files; too high if others remove files
	written map[object.Tenant]int64 // bytes written since the start

	timing      sync.Mutex              // guards firstServed
	firstServed map[object.ID]time.Time // activation of objects that are newer than the host's start
}

// Version is the content of a version's file.
type Version struct {
	Version string            `json:"version"`
	Taken   time.Time         `json:"taken"`
	AtStart bool              `json:"at_start,omitempty"`
	File    string            `json:"file"`
	Source  []byte            `json:"source"`
	Libs    map[string][]byte `json:"libs,omitempty"` // modules that the script may require, by name

	Path string
}

// Folder returns the folder with the versions of an object.
func (h *Store) Folder(id object.ID) string { return filepath.Join(h.Dir, string(id)) }

// NoteNew records the activation of an object's first version.
func (h *Store) NoteNew(id object.ID) {
	h.timing.Lock()
	defer h.timing.Unlock()
	if h.firstServed == nil {
		h.firstServed = map[object.ID]time.Time{}
	}
	h.firstServed[id] = time.Now()
}

// NoteRemoved records the removal of an object.
func (h *Store) NoteRemoved(id object.ID) {
	h.timing.Lock()
	defer h.timing.Unlock()
	delete(h.firstServed, id)
}

// ServedSince returns the activation time of the object's first version since the host's start, and
// whether that is the start itself.
func (h *Store) ServedSince(id object.ID) (at time.Time, atStart bool) {
	h.timing.Lock()
	defer h.timing.Unlock()
	if at, ok := h.firstServed[id]; ok {
		return at, false
	}
	return h.HostStart, true
}

// Add stores a version and removes the oldest beyond maxHistory. If it is already the newest
// stored version, add does nothing.
func (h *Store) Add(v *script.Version, taken time.Time, atStart bool) error {
	all, err := h.Names(v.ID)
	if err != nil {
		return err
	}
	sum := catalog.SumOf(v)
	if n := len(all); n > 0 && IsVersion(all[n-1], sum) {
		return nil
	}
	past := Version{
		Version: sum,
		Taken:   taken.UTC(),
		AtStart: atStart,
		File:    v.Script.File,
		Source:  v.Script.Source,
		Libs:    map[string][]byte{},
	}
	for name, lib := range catalog.VersionModules(v) {
		past.Libs[name] = lib.Source
	}
	text, err := json.Marshal(past)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(h.Folder(v.ID), 0o700); err != nil {
		return err
	}
	name := fmt.Sprintf("%019d-%s.json", taken.UnixNano(), sum)
	if err := h.reserve(v.ID.Tenant(), max(int64(len(text)), minVersionBytes)); err != nil {
		return err
	}
	if err := safefile.Replace(filepath.Join(h.Folder(v.ID), name), text, 0o600); err != nil {
		return err
	}
	var errs []error
	for len(all) >= maxHistory {
		errs = append(errs, os.Remove(filepath.Join(h.Folder(v.ID), all[0])))
		all = all[1:]
	}
	return errors.Join(errs...)
}

// reserve takes bytes of the tenant's history quota and removes its oldest versions if needed.
// Files that others remove count until the next trim.
func (h *Store) reserve(tenant object.Tenant, bytes int64) error {
	if bytes > h.MaxBytes/16 {
		return fmt.Errorf("the version and the modules that it may require have more than %d bytes", h.MaxBytes/16)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	held, known := h.size[tenant]
	if !known || held+bytes > h.MaxBytes {
		var err error
		if held, err = h.trim(tenant, h.MaxBytes*3/4); err != nil {
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

// TotalWritten returns the bytes written for a tenant's versions since the host's start.
func (h *Store) TotalWritten(tenant object.Tenant) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.written[tenant]
}

// trim removes the oldest versions of a tenant's objects until at most most bytes are left.
// It returns the bytes that are left. The caller holds mu.
func (h *Store) trim(tenant object.Tenant, most int64) (held int64, err error) {
	objects, err := os.ReadDir(h.Dir)
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
		versions, err := os.ReadDir(filepath.Join(h.Dir, o.Name()))
		if err != nil {
			return 0, err
		}
		for _, v := range versions {
			if info, err := v.Info(); err == nil && v.Name() != overrideFile {
				size := max(info.Size(), minVersionBytes)
				all = append(all, kept{v.Name(), filepath.Join(h.Dir, o.Name(), v.Name()), size})
				held += size
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
		_ = os.Remove(filepath.Dir(v.path)) // fails unless the folder is empty now
		held -= v.bytes
	}
	return held, nil
}

// Names returns the file names of an object's versions, oldest first. A name begins with the
// time and ends with the version.
func (h *Store) Names(id object.ID) (names []string, err error) {
	entries, err := os.ReadDir(h.Folder(id))
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

// IsVersion reports whether name is the file name of a version.
func IsVersion(name, version string) bool { return strings.HasSuffix(name, "-"+version+".json") }

// List returns the stored versions of an object, oldest first.
func (h *Store) List(id object.ID) ([]Version, error) {
	names, err := h.Names(id)
	if err != nil {
		return nil, err
	}
	var all []Version
	for _, name := range names {
		past := Version{Path: filepath.Join(h.Folder(id), name)}
		text, err := os.ReadFile(past.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // trim has removed it
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

// overrideFile is the name of the file with the override of an object.
const overrideFile = "instead.json"

// Override is the effect of a rollback: Version serves as long as the scripts folder has
// version Of.
type Override struct {
	Of      string `json:"of"`
	Version string `json:"version"`
}

// SetOverride stores an override. It removes the override if both versions are equal.
func (h *Store) SetOverride(id object.ID, i Override) error {
	path := filepath.Join(h.Folder(id), overrideFile)
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

// OverrideFor returns the version that a rollback put into service instead of v, nil without
// a rollback.
func (h *Store) OverrideFor(v *script.Version) (*Version, error) {
	text, err := os.ReadFile(filepath.Join(h.Folder(v.ID), overrideFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var i Override
	if err == nil {
		err = json.Unmarshal(text, &i)
	}
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", v.ID, err)
	}
	if i.Of != catalog.SumOf(v) {
		return nil, nil
	}
	all, err := h.List(v.ID)
	if err != nil {
		return nil, err
	}
	n := slices.IndexFunc(all, func(p Version) bool { return p.Version == i.Version })
	if n < 0 {
		return nil, fmt.Errorf("history of %s: version %s is no longer stored", v.ID, i.Version)
	}
	return &all[n], nil
}

// ToVersion returns a version that a worker can load.
func (p *Version) ToVersion(id object.ID, limits object.Limits) *script.Version {
	libs := make(map[string]script.Script, len(p.Libs))
	for name, source := range p.Libs {
		file := string(id.Tenant()) + "/lib/" + strings.ReplaceAll(name, ".", "/") + ".lua"
		libs[name] = script.Script{File: file, Source: source}
	}
	return script.NewVersion(id, script.Script{File: p.File, Source: p.Source}, script.NewLibs(libs), limits)
}

// Choose returns the stored version for a prefix of its name, or for "" the one before the serving version.
func Choose(kept []Version, id object.ID, serving, version string) (*Version, error) {
	var found *Version
	at := len(kept)
	for i := range kept {
		if kept[i].Version == serving {
			at = i
		}
	}
	for i := range kept {
		p := &kept[i]
		switch {
		case version == "" && i < at && p.Version != serving:
			found = p
		case version != "" && strings.HasPrefix(p.Version, version):
			if found != nil && found.Version != p.Version {
				return nil, object.Errorf(object.CodeInvalid,
					"several versions of %s begin with %s: give a longer prefix", id, version)
			}
			found = p
		}
	}
	switch {
	case found == nil && version == "":
		return nil, object.Errorf(object.CodeInvalid, "%s has no version before the one that serves", id)
	case found == nil:
		return nil, object.Errorf(object.CodeInvalid,
			"%s has no version %s: hearth history %s lists them", id, version, id)
	case found.Version == serving:
		return nil, object.Errorf(object.CodeInvalid, "version %s of %s is already serving", serving, id)
	}
	return found, nil
}
