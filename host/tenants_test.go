package host_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
)

// limited returns everything with settings in the block of tenant acme.
func limited(settings string) string {
	return strings.Replace(everything, `tenant "acme" {}`, "tenant \"acme\" {\n"+settings+"\n}", 1)
}

// TestLimitsOfAnObject exceeds each limit of an object. Another object does not have the limit.
func TestLimitsOfAnObject(t *testing.T) {
	for _, tc := range []struct{ limit, method, want string }{
		{`steps = 5000`, "spin", "limit exceeded: 5000 steps"},
		{"max_duration = \"50ms\"\n steps = 1000000000000", "spin", "limit exceeded: 50ms of wall time"},
		{`memory = "8MiB"`, "hoard", "limit exceeded: 8 MiB of memory"},
		{`depth = 100`, "nest", "stack overflow"},
		{`coroutines = 20`, "coroutines", "too many coroutines (at most 20)"},
		{`source = "100B"`, "echo", "bytes of source (at most 100)"},
	} {
		t.Run(tc.limit, func(t *testing.T) {
			c := dial(t, start(t, limited("object \"echo\" {\n limits {\n"+tc.limit+"\n}\n}")), client.Config{})
			_, err := c.Object("acme.echo").Call(t.Context(), tc.method)
			wantRemote(t, err, "", tc.want)
			if got, err := c.Object("acme.counter").Call(t.Context(), "add", 1); err != nil || got != int64(1) {
				t.Errorf("another object: %v, %v", got, err)
			}
		})
	}
	t.Run("bytes", func(t *testing.T) {
		policy := limited("object \"echo\" {\n limits {\n arguments = \"200B\"\n result = \"10B\"\n }\n}")
		c := dial(t, start(t, policy), client.Config{})
		echo := c.Object("acme.echo")
		_, err := echo.Call(t.Context(), "echo", strings.Repeat("x", 200))
		wantRemote(t, err, "", "acme.echo takes at most 200; not executed")
		_, err = echo.Call(t.Context(), "echo", strings.Repeat("x", 11))
		wantRemote(t, err, "", "has more than 10 bytes in all")
		if got, err := echo.Call(t.Context(), "echo", "xxxxxxxxxx"); err != nil || got != "xxxxxxxxxx" {
			t.Errorf("a result of the allowed length: %v, %v", got, err)
		}
	})
	t.Run("sessions", func(t *testing.T) {
		c := dial(t, start(t, limited("object \"session\" {\n limits { sessions = 1 }\n}")), client.Config{})
		a, err := c.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if _, err := a.Object("acme.session").Call(t.Context(), "next"); err != nil {
			t.Fatal(err)
		}
		b, err := c.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		_, err = b.Object("acme.session").Call(t.Context(), "next")
		wantRemote(t, err, "", "limit exceeded: 1 sessions of acme.session; not executed")
	})
}

// TestQueueLimit has more callers than may wait. Some calls are rejected at once without execution, and the others are
// served.
func TestQueueLimit(t *testing.T) {
	const over = "limit exceeded: 1 calls are waiting for acme.counter; not executed"
	c := dial(t, start(t, limited("object \"counter\" {\n limits { queue = 1 }\n}")), client.Config{MaxConns: 32})
	var wg sync.WaitGroup
	var mu sync.Mutex
	served, refused := 0, 0
	for range 32 {
		wg.Go(func() {
			for range 20 {
				_, err := c.Object("acme.counter").Call(t.Context(), "add", 1)
				mu.Lock()
				switch {
				case err == nil:
					served++
				case strings.Contains(err.Error(), over):
					refused++
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	got, err := c.Object("acme.counter").Get(t.Context(), "total")
	if err != nil || got != int64(served) || served == 0 {
		t.Errorf("total = %v, %v; %d were served, %d refused", got, err, served, refused)
	}
}

// TestObjectIsolation runs each object in a separate process. Streams and calls between objects work, and an object
// that does not load affects no other.
func TestObjectIsolation(t *testing.T) {
	c := dial(t, start(t, limited(`isolation = "object"`)), client.Config{})
	ctx := t.Context()
	if got, err := c.Object("acme.relay").Call(ctx, "add", 5); err != nil || got != int64(5) {
		t.Fatalf("relay: %v, %v", got, err)
	}
	var items []any
	for v, err := range c.Object("acme.echo").Stream(ctx, "count", 3) {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, v)
	}
	if fmt.Sprint(items) != "[1 2 3]" {
		t.Errorf("stream: %v", items)
	}
	_, err := c.Object("acme.broken").Call(ctx, "x")
	wantRemote(t, err, "", "acme/broken.lua")
	_, err = c.Object("acme.nosuch").Call(ctx, "x")
	wantRemote(t, err, "", "unknown object")
	if got, err := c.Object("acme.counter").Get(ctx, "total"); err != nil || got != int64(5) {
		t.Errorf("counter: %v, %v", got, err)
	}
}

// TestIdleWorkersStop checks that an idle worker without state is stopped. The next call starts a worker and succeeds.
func TestIdleWorkersStop(t *testing.T) {
	h, _ := startHost(t, limited(`idle = "10ms"`))
	c := dial(t, h.Addrs()[0], client.Config{})
	ctx := t.Context()
	for range 3 {
		if got, err := c.Object("acme.echo").Call(ctx, "echo", 1); err != nil || got != int64(1) {
			t.Fatal(got, err)
		}
		tick := time.NewTicker(time.Millisecond)
		for h.Workers()["acme"] != 0 { // until the test's deadline
			<-tick.C
		}
		tick.Stop()
	}
}

// TestUnenforceableTenant checks that New rejects settings that the host cannot enforce.
func TestUnenforceableTenant(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can give any uid: cmd/hearth tries this as an ordinary user")
	}
	const text = "only a host that is root"
	p := parse(t, limited(`uid = 4444`))
	_, err := host.New(host.Config{Policy: p, Worker: []string{os.Args[0], "worker"}})
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("a host that is not root: %v", err)
	}
	p = parse(t, limited("uid = 4444\n allow_missing = [\"uid\"]"))
	_, err = host.New(host.Config{Policy: p, Worker: []string{os.Args[0], "worker"}})
	if err != nil && strings.Contains(err.Error(), text) {
		t.Errorf("with allow_missing: %v", err)
	}
}
