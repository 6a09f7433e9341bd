// Package script has the versions of objects that workers load: a script, the modules that it may require, and its
// limits.
package script

import (
	"encoding/json"
	"fmt"
	"regexp"
	"sync/atomic"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// Script is the source of one object or of one lib module.
type Script struct {
	File   string // for messages, relative to the scripts folder, for example "acme/counter.lua"
	Source []byte
}

// Libs are the modules that an object may require. [NewLibs] returns one. They are not modified.
type Libs struct {
	Scripts map[string]Script // by module name
	number  uint64
}

// Version is one version of an object: its script, its modules and its limits. [NewVersion] returns one. It is not
// modified.
type Version struct {
	ID     object.ID
	Script Script
	Libs   *Libs
	Limits object.Limits // none is zero

	number     uint64
	looksKeyed bool // the source has the setting of a keyed object
	described  atomic.Pointer[object.Description]
}

var numbers atomic.Uint64 // last number of a version or of modules

// NewLibs returns the modules of versions.
func NewLibs(scripts map[string]Script) *Libs {
	return &Libs{Scripts: scripts, number: numbers.Add(1)}
}

// NewVersion returns a version of an object. A zero limit has its default.
func NewVersion(id object.ID, s Script, libs *Libs, limits object.Limits) *Version {
	return &Version{
		ID:         id,
		Script:     s,
		Libs:       libs,
		Limits:     limits.WithDefaults(),
		number:     numbers.Add(1),
		looksKeyed: s.LooksKeyed(),
	}
}

// Number returns the id of the modules on a link. It is unique in this process.
func (l *Libs) Number() uint64 { return l.number }

// Number returns the id of the version on a link. It is unique in this process.
func (v *Version) Number() uint64 { return v.number }

// Description returns the description that Describe decoded, nil before that. Do not modify it.
func (v *Version) Description() *object.Description { return v.described.Load() }

// Describe decodes and keeps the description that a worker sent as JSON. The error is that of a worker that breaks the
// protocol. Safe for concurrent use.
func (v *Version) Describe(doc []byte) (*object.Description, error) {
	d := new(object.Description)
	if err := json.Unmarshal(doc, d); err != nil {
		return nil, fmt.Errorf("reading the description of %s: %w", v.ID, err)
	}
	if len(d.Members) > link.MaxMembers {
		return nil, fmt.Errorf("reading the description of %s: more than %d members", v.ID, link.MaxMembers)
	}
	if n := d.SignatureSize(); n > link.MaxTypes {
		return nil, fmt.Errorf("reading the description of %s: more than %d types", v.ID, link.MaxTypes)
	}
	d.ID = v.ID
	v.described.Store(d)
	return d, nil
}

// Mode returns the mode of the object, "" before Describe decoded a description. v may be nil.
func (v *Version) Mode() object.InstanceMode {
	if v == nil {
		return ""
	}
	if d := v.described.Load(); d != nil {
		return d.Instance
	}
	return ""
}

// Keyed reports whether the object is keyed. Before its mode is known, the source decides: it has the setting
// instance = "keyed". v may be nil.
func (v *Version) Keyed() bool {
	if mode := v.Mode(); mode != "" {
		return mode == object.Keyed
	}
	return v != nil && v.looksKeyed
}

// LooksKeyed reports whether the source has the setting of a keyed object. Loading the script decides whether the
// object is keyed.
func (s *Script) LooksKeyed() bool { return keyedSetting.Match(s.Source) }

// keyedSetting matches the setting of a keyed object in a script.
var keyedSetting = regexp.MustCompile(`instance\s*=\s*["']keyed["']`)

// LoadError is an error of a script, with its place.
type LoadError struct{ Msg string }

// Error returns the message, which names file and line.
func (e *LoadError) Error() string { return e.Msg }

// TestResult is the result of one test of a script.
type TestResult struct {
	Name string `json:"name"`
	Err  string `json:"error,omitempty"` // "" if it passed
}
