package host

import (
	"context"
	"time"
)

// lookEvery is how often files are looked at, and open connections when something has
// changed: a revoked peer is cut off within a second.
const lookEvery = 300 * time.Millisecond

// watchFiles reads keys, certificates and secrets again when they change, and cuts off whom
// that concerns, and now and then because time passes, until ctx is done.
func (h *Host) watchFiles(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			snap := h.snap.Load()
			snap.Credentials.Refresh(now)
			h.cutRevoked(now)
			if snap.secrets.Refresh() {
				h.grantSecrets(h.snap.Load())
			}
		}
	}
}

// grantSecrets hands every tenant's worker its own.
func (h *Host) grantSecrets(snap *generation) {
	for tenant, t := range snap.tenants {
		t.worker.SetSecrets(snap.secrets.ForTenant(tenant))
	}
}
