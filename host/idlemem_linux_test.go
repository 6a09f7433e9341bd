package host_test

import (
	"runtime"
	"testing"

	"github.com/hearthhost/hearth/host"
)

// TestIdleConnectionsAreSmall measures the heap of connections that have made a call and wait for the next one. Both
// ends are in this process: the client's end of a TLS connection is about as large as the host's. The bounds are one
// and a half times of what was measured.
func TestIdleConnectionsAreSmall(t *testing.T) {
	if *goroutines || raceEnabled {
		t.Skip("SKIPPED: the bounds hold for connections in an event loop without the race detector")
	}
	for channel, most := range map[string]int64{"plain": 7 << 10, "hmac": 18 << 10, "tls 1.3": 30 << 10} {
		d := newDrainingHost(t, channel)
		var all []*peer
		open := func(n int) {
			for range n {
				p, err := drainDial(d.Addrs()[0], channel, 0)
				if err != nil {
					t.Fatal(err)
				}
				if err := p.echo("x"); err != nil {
					t.Fatal(err)
				}
				all = append(all, p)
			}
			until(func() bool { return host.IdleConnections(d.Host) == len(all) })
		}
		const warm, conns = 20, 500
		open(warm)
		before := liveBytes()
		open(conns)
		each := (liveBytes() - before) / conns
		if each > most {
			t.Errorf("%s: a waiting connection has %d bytes at both ends, want at most %d", channel, each, most)
		}
		t.Logf("%s: %d bytes for each connection", channel, each)
		for _, p := range all {
			p.Close()
		}
		d.stop()
		d.await(t)
	}
}

// liveBytes returns the live bytes of the heap.
func liveBytes() int64 {
	runtime.GC()
	runtime.GC() // empties pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
