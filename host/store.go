package host

import (
	"os"
	"path/filepath"
	"time"

	"github.com/hearthhost/hearth/host/observe"
	"github.com/hearthhost/hearth/host/stores"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// storeDir returns the folder of the durable state.
func (h *Host) storeDir() string { return filepath.Join(h.cfg.Policy.State, "store") }

// newStore makes the engine of the durable state. It opens no file.
func (h *Host) newStore() (err error) {
	node, err := os.Hostname()
	if err != nil {
		return err
	}
	h.store, err = sqlite.New(sqlite.Config{
		Dir:  h.storeDir(),
		Node: node,
		Log:  h.cfg.Log,
		// During an upgrade the other process releases a store when its calls have ended.
		Alive:    func(string) bool { return h.sharing.Load() },
		TakeOver: takeOver,
	})
	if err == nil {
		h.usage.StoreBytes = h.store.FileBytes
	}
	h.sharing.Store(h.cfg.Inherited.ParentPID != 0)
	return err
}

// cleanStore removes the temporary files of a host that was killed. No other host uses the state folder.
func (h *Host) cleanStore() {
	if err := stores.Clean(h.storeDir()); err != nil {
		h.log.Warn("temporary files of a former host cannot be removed", "err", err)
	}
}

// Times of an upgrade. Calls of the new process wait for them, so they are shorter than the default time of a call.
const (
	storePatience = 3500 * time.Millisecond // until the old process releases a store in use
	busyPatience  = time.Second             // until it ignores running calls of other tenants
	takeOver      = 4 * time.Second         // until the new process takes a store that is not released
)

// storeIdle reports whether the calls of this process no longer use a tenant's store, while the process is replaced. A
// connection that is served here may be about to begin a call. A call of another tenant's object may call one of this
// tenant, but its connection is passed after it.
func (h *Host) storeIdle(tenant object.Tenant, since time.Duration) bool {
	return (since >= busyPatience || h.pyro.Served() == 0) && h.usage.InFlight(tenant) == 0
}

// closeStore closes the files of the durable state.
func (h *Host) closeStore() {
	if h.yielding != nil {
		h.yielding()
	}
	if err := h.store.Close(); err != nil {
		h.log.Error("closing the stores", "err", err)
	}
}

// storeLimits returns the limits of an object's durable state.
func (h *Host) storeLimits(id object.ID) store.Limits {
	settings := h.current.Snapshot().Policy.Settings[id.Tenant()]
	if settings == nil {
		return store.Limits{}
	}
	limits := settings.Limits(id.Family()).WithDefaults()
	return store.Limits{
		ValueBytes:  limits.StoreValue,
		ObjectBytes: limits.StoreBytes,
		TenantBytes: settings.StoreBytes,
	}
}

// storeCounters returns the counters of the engine.
func (h *Host) storeCounters() observe.StoreCounters {
	m := h.store.Metrics()
	return observe.StoreCounters{
		Commits:   m.Commits.Load(),
		Batches:   m.Batches.Load(),
		Time:      time.Duration(m.Nanos.Load()),
		Conflicts: m.Conflicts.Load(),
		Full:      m.Full.Load(),
		Fenced:    m.Fenced.Load(),
		Failures:  m.Failures.Load(),
		OpenFiles: h.store.OpenFiles(),
		Sync:      storeHistogram(&m.Sync, sqlite.SyncBounds, 1e-9),
		Group:     storeHistogram(&m.Group, sqlite.GroupBounds, 1),
	}
}

// storeHistogram returns a histogram of the engine in another unit.
func storeHistogram(from *sqlite.Histogram, bounds []int64, unit float64) (h observe.Histogram) {
	for _, b := range bounds {
		h.Bounds = append(h.Bounds, float64(b)*unit)
	}
	counts, sum := from.Load(bounds)
	h.Counts, h.Sum = counts, float64(sum)*unit
	return h
}
