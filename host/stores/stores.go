// Package stores implements the requests of an operator about the durable state of tenants: list, read, change, export,
// import, check and back up.
//
// A write is a commit of the engine, like one of an object: it has the same writer, owner and quotas, and a running
// object reads it with its next operation. Each request writes a record into the audit log before it acts, reads
// included. The caller has authorized the operator.
//
// A tenant is known if the host serves it, the policy declares it, or it has a store. A request that only
// reads creates no store.
package stores

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite"
	"github.com/hearthhost/hearth/service/store/value"
)

// Config has the parts of a host that the requests need. All fields are required.
type Config struct {
	Engine  *sqlite.Engine
	Dir     string                       // folder of temporary files, which only the host's user may enter
	Limits  func(object.ID) store.Limits // of an object and its tenant
	Tenants func() []object.Tenant       // tenants that are served or declared, in any order
	Serves  func(object.ID) bool         // reports whether an object is served
	Record  func(Record) error           // writes a record; nothing is done after an error
}

// Record is an audit record of a request.
type Record struct {
	Operator Operator
	Op       string        // "get", "set", …
	Tenant   object.Tenant // of a request about a whole store, "" for one about an object
	Object   object.ID
	Detail   string // key or number of keys, "" for none
}

// Operator is the user who sent a request.
type Operator struct{ UID uint32 }

// Stores has the requests. Its methods are safe for concurrent use. Errors for the operator are [object.Error].
type Stores struct{ cfg Config }

// New returns the requests of a host.
func New(cfg Config) *Stores { return &Stores{cfg} }

// TenantInfo is the size of a tenant's store.
type TenantInfo struct {
	Tenant    object.Tenant `json:"tenant"`
	Keys      int64         `json:"keys"`
	Bytes     int64         `json:"bytes"`      // of keys and values
	FileBytes int64         `json:"file_bytes"` // on disk
	Error     string        `json:"error,omitempty"`
}

// ObjectInfo is the size of an object's keys and values.
type ObjectInfo struct {
	Object object.ID `json:"object"`
	Keys   int64     `json:"keys"`
	Bytes  int64     `json:"bytes"`
}

// KeyInfo describes a key without its value.
type KeyInfo struct {
	Key     string     `json:"key"`
	Version int64      `json:"version"`
	Bytes   int        `json:"bytes"` // of the value
	Expires *time.Time `json:"expires,omitempty"`
}

// Value is a key with its value.
type Value struct {
	Object  object.ID       `json:"object"`
	Key     string          `json:"key"`
	Value   json.RawMessage `json:"value"`
	Version int64           `json:"version"`
	Expires *time.Time      `json:"expires,omitempty"`
}

// Page is a part of a listing. More reports that it continues behind the last row.
type Page[Row any] struct {
	Rows []Row `json:"rows"`
	More bool  `json:"more"`
}

// Write describes a new value of a key.
type Write struct {
	Value     []byte        // a document of JSON, see package value
	IfVersion int64         // version that the key must have, or [store.AnyVersion]
	TTL       time.Duration // 0: the key never expires
}

// expiry returns the time of an expiry in milliseconds since 1970, nil for 0.
func expiry(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	at := time.UnixMilli(ms).UTC()
	return &at
}

func invalid(format string, args ...any) error {
	return object.Errorf(object.CodeInvalid, format, args...)
}

// exists reports whether a known tenant has a store. An unknown tenant is an error.
func (s *Stores) exists(tenant object.Tenant) (bool, error) {
	if object.ValidName(string(tenant)) {
		switch {
		case s.cfg.Engine.FileBytes(tenant) > 0:
			return true, nil
		case slices.Contains(s.cfg.Tenants(), tenant):
			return false, nil
		}
	}
	return false, object.Errorf(object.CodeNotFound,
		"the host serves no tenant %q and has no store of it: hearth store ls lists the tenants", tenant)
}

// parse checks the id of an object, and whether its tenant has a store.
func (s *Stores) parse(name string) (id object.ID, exists bool, err error) {
	if id, err = object.ParseTarget(name); err != nil {
		return "", false, invalid("%v", err)
	}
	exists, err = s.exists(id.Tenant())
	return id, exists, err
}

// record writes the audit record of a request about an object.
func (s *Stores) record(op Operator, name string, id object.ID, detail string) error {
	return s.cfg.Record(Record{Operator: op, Op: name, Object: id, Detail: detail})
}

// recordTenant writes the audit record of a request about a whole store.
func (s *Stores) recordTenant(op Operator, name string, tenant object.Tenant, detail string) error {
	return s.cfg.Record(Record{Operator: op, Op: name, Tenant: tenant, Detail: detail})
}

// Tenants returns the sizes of all stores, and the served tenants without one.
func (s *Stores) Tenants(ctx context.Context, op Operator) ([]TenantInfo, error) {
	stored, err := s.cfg.Engine.Tenants()
	if err != nil {
		return nil, err
	}
	if err := s.recordTenant(op, "ls", "", ""); err != nil {
		return nil, err
	}
	all := slices.Concat(stored, s.cfg.Tenants())
	slices.Sort(all)
	list := []TenantInfo{}
	for _, tenant := range slices.Compact(all) {
		info := TenantInfo{Tenant: tenant}
		if slices.Contains(stored, tenant) {
			u, err := s.cfg.Engine.Usage(ctx, tenant)
			info.Keys, info.Bytes, info.FileBytes = u.Keys, u.Bytes, s.cfg.Engine.FileBytes(tenant)
			if err != nil { // the other stores can be listed
				info.Error = object.SafeText(err)
			}
		}
		list = append(list, info)
	}
	return list, nil
}

// Objects returns the objects of a tenant with keys, those behind after, at most [store.MaxPage].
func (s *Stores) Objects(ctx context.Context, op Operator, tenant object.Tenant, after object.ID) (
	p Page[ObjectInfo], err error,
) {
	p.Rows = []ObjectInfo{}
	exists, err := s.exists(tenant)
	if err == nil {
		err = s.recordTenant(op, "ls", tenant, "")
	}
	if err != nil || !exists {
		return p, err
	}
	list, err := s.cfg.Engine.Objects(ctx, tenant, after, store.MaxPage+1)
	if err != nil {
		return p, err
	}
	if p.More = len(list) > store.MaxPage; p.More {
		list = list[:store.MaxPage]
	}
	for _, o := range list {
		p.Rows = append(p.Rows, ObjectInfo{o.Object, o.Keys, o.Bytes})
	}
	return p, nil
}

// Keys returns the keys of an object with a prefix, those behind after.
func (s *Stores) Keys(ctx context.Context, op Operator, name, prefix, after string) (p Page[KeyInfo], err error) {
	p.Rows = []KeyInfo{}
	id, exists, err := s.parse(name)
	if err != nil {
		return p, err
	}
	r := store.Range{Prefix: prefix, After: after, Limit: store.MaxPage}
	if err := r.Check(); err != nil {
		return p, err
	}
	detail := ""
	if prefix != "" {
		detail = "prefix " + store.Shown(prefix)
	}
	if err := s.record(op, "ls", id, detail); err != nil || !exists {
		return p, err
	}
	items, more, err := s.cfg.Engine.List(ctx, id, r)
	if err != nil {
		return p, err
	}
	p.More = more
	for i := range items {
		it := &items[i]
		p.Rows = append(p.Rows, KeyInfo{it.Key, it.Version, len(it.Value), expiry(it.Expires)})
	}
	return p, nil
}

// Get returns the value of a key.
func (s *Stores) Get(ctx context.Context, op Operator, name, key string) (*Value, error) {
	id, exists, err := s.parse(name)
	if err != nil {
		return nil, err
	}
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	if err := s.record(op, "get", id, store.Shown(key)); err != nil {
		return nil, err
	}
	if !exists {
		return nil, missing(id, key)
	}
	it, err := s.cfg.Engine.Get(ctx, id, key)
	switch {
	case err != nil:
		return nil, err
	case it.Version == 0:
		return nil, missing(id, key)
	}
	return &Value{id, key, it.Value, it.Version, expiry(it.Expires)}, nil
}

// missing returns the error for a key that an object does not have.
func missing(id object.ID, key string) error {
	return object.Errorf(object.CodeNotFound, "%s has no key %s: hearth store ls %s lists its keys",
		id, store.Shown(key), id)
}

// Set stores the value of a key and returns the new version. An object that is neither served nor has keys is an error.
func (s *Stores) Set(ctx context.Context, op Operator, name, key string, w *Write) (version int64, err error) {
	id, exists, err := s.parse(name)
	if err != nil {
		return 0, err
	}
	if err := store.CheckKey(key); err != nil {
		return 0, err
	}
	var doc value.Encoder // the form in which an object stores it, so that increments work
	if err := value.Decode(w.Value, &doc); err != nil {
		return 0, err
	}
	b := &store.Batch{Object: id, Limits: s.cfg.Limits(id), Writes: []store.Write{
		{Op: store.Put, Key: key, Value: doc.Document(), TTL: w.TTL, If: w.IfVersion},
	}}
	if err := b.Check(); err != nil {
		return 0, err
	}
	if err := s.checkObject(ctx, id, exists); err != nil {
		return 0, err
	}
	if err := s.record(op, "set", id, store.Shown(key)); err != nil {
		return 0, err
	}
	r, err := s.cfg.Engine.Commit(ctx, b)
	return r.Version, err
}

// checkObject returns an error for an object that is not served and has no keys: its name is probably wrong.
func (s *Stores) checkObject(ctx context.Context, id object.ID, exists bool) error {
	if s.cfg.Serves(id) {
		return nil
	}
	if exists {
		items, _, err := s.cfg.Engine.List(ctx, id, store.Range{Limit: 1})
		if err != nil || len(items) > 0 {
			return err
		}
	}
	return object.Errorf(object.CodeNotFound, "the host serves no object %s, and it has no keys: "+
		"hearth ls lists objects; an instance of a keyed object has a key, such as acme.cart:alice", id)
}

// Remove removes keys of an object: all of them, or none if one is missing or changes meanwhile.
func (s *Stores) Remove(ctx context.Context, op Operator, name string, keys []string) error {
	id, exists, err := s.parse(name)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return invalid("no key is named")
	}
	b := &store.Batch{Object: id, Limits: s.cfg.Limits(id)}
	for _, key := range keys {
		b.Writes = append(b.Writes, store.Write{Op: store.Delete, Key: key, If: store.AnyVersion})
	}
	if err := b.Check(); err != nil {
		return err
	}
	detail := store.Shown(keys[0])
	if len(keys) > 1 {
		detail = fmt.Sprintf("%s and %d more", detail, len(keys)-1)
	}
	if err := s.record(op, "rm", id, detail); err != nil {
		return err
	}
	if !exists {
		return missing(id, keys[0])
	}
	for i, key := range keys {
		it, err := s.cfg.Engine.Get(ctx, id, key)
		if err != nil {
			return err
		}
		if it.Version == 0 {
			return missing(id, key)
		}
		b.Writes[i].If = it.Version // a value that a call stores meanwhile is not removed
	}
	_, err = s.cfg.Engine.Commit(ctx, b)
	return err
}

// Check reads a whole store. It returns the damage, one line each, nil for none.
func (s *Stores) Check(ctx context.Context, op Operator, tenant object.Tenant) (damage []string, err error) {
	exists, err := s.exists(tenant)
	if err == nil {
		err = s.recordTenant(op, "check", tenant, "")
	}
	if err != nil || !exists {
		return nil, err
	}
	return s.cfg.Engine.Check(ctx, tenant)
}

// Backup returns a copy of a store as it is at one moment, in an open file without a name. The caller closes it.
func (s *Stores) Backup(ctx context.Context, op Operator, tenant object.Tenant) (*os.File, error) {
	exists, err := s.exists(tenant)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, object.Errorf(object.CodeNotFound,
			"tenant %s has no store: its objects have stored nothing", tenant)
	}
	if err := s.recordTenant(op, "backup", tenant, ""); err != nil {
		return nil, err
	}
	f, err := s.temporary()
	if err != nil {
		return nil, err
	}
	err = s.cfg.Engine.Backup(ctx, tenant, f.Name())
	if removed := os.Remove(f.Name()); err == nil {
		err = removed
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
