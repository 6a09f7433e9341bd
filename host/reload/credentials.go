package reload

import (
	"context"
	"time"
)

// lookEvery is the interval of checks of the policy, key and secret files. A changed file also starts a
// check of open connections, so that a revoked peer is disconnected within a second.
const lookEvery = 300 * time.Millisecond

// WatchCredentials reads changed keys, certificates and secrets until ctx is done. It disconnects
// peers that they no longer authenticate, and peers with expired credentials.
func (l *Reloader) WatchCredentials(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			snap := l.cfg.Current.Load()
			snap.Credentials.Refresh(now)
			l.cfg.CutRevoked(now)
			if snap.Secrets.Refresh() {
				current := l.cfg.Current.Load()
				current.Backends.SetSecrets(current.Secrets)
			}
		}
	}
}
