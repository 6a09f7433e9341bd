package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/observe"
	"github.com/hearthhost/hearth/host/usage"
)

// admin sends a request to a host's admin socket and returns the status and the body.
func admin(t *testing.T, dir, path string) (int, string) {
	t.Helper()
	return get(t, &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(dir, "state", "admin.sock"))
	}}, "http://hearth"+path)
}

func get(t *testing.T, tr *http.Transport, url string) (int, string) {
	t.Helper()
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// usageOf requests one tenant's usage.
func usageOf(t *testing.T, dir, tenant string) usage.TenantUsage {
	t.Helper()
	status, body := admin(t, dir, "/v1/usage?tenant="+tenant)
	var u usage.Usage
	if err := json.Unmarshal([]byte(body), &u); err != nil || status != http.StatusOK || len(u.Tenants) != 1 {
		t.Fatalf("usage: %d, %v\n%s", status, err, body)
	}
	return u.Tenants[0]
}

// TestUsage makes a known number of calls with known sizes, and compares the counts.
func TestUsage(t *testing.T) {
	h, dir := startHost(t, strings.Replace(everything, `tenant "acme" {}`, `
tenant "acme" {
  object "echo" {
    limits { steps = 100000 }
  }
}
limit "few" {
  principals = ["owner"]
  objects    = ["acme.session"]
  rate       = "1/h"
}`, 1))
	c := dial(t, h.Addrs()[0], client.Config{})
	ctx := t.Context()
	if u := usageOf(t, dir, "acme"); u.Calls.Calls != 0 || u.Starts != 0 || u.Processes != 0 || len(u.Objects) != 0 {
		t.Errorf("before any call: %+v", u)
	}
	for range 10 {
		if _, err := c.Object("acme.counter").Call(ctx, "add", 1); err != nil {
			t.Fatal(err)
		}
	}
	big := strings.Repeat("x", 10_000)
	if _, err := c.Object("acme.echo").Call(ctx, "echo", big); err != nil {
		t.Fatal(err)
	}
	_, err := c.Object("acme.echo").Call(ctx, "fail")
	wantRemote(t, err, "builtins.KeyError", "gone")
	_, err = c.Object("acme.echo").Call(ctx, "spin")
	wantRemote(t, err, "", "100000 steps")
	for range c.Object("acme.echo").Stream(ctx, "count", 3) { // read all items
	}
	if _, err := c.Object("acme.relay").Call(ctx, "add", 1); err != nil { // counts for both objects
		t.Fatal(err)
	}
	for range 3 { // the policy denies
		_, _ = c.Object("other.hidden").Call(ctx, "hi")
		_, _ = c.Object("acme.nosuch").Call(ctx, "hi")
		_, _ = c.Object("nobody.nosuch").Call(ctx, "hi")
	}
	for range 3 { // the limit permits one call
		_, _ = c.Object("acme.session").Call(ctx, "next")
	}

	u := usageOf(t, dir, "acme")
	calls := map[string]uint64{}
	for _, o := range u.Objects {
		calls[string(o.ID)] = o.Calls.Calls
	}
	// A stream counts five calls: its start, three items and its end.
	want := map[string]uint64{"acme.counter": 11, "acme.echo": 8, "acme.relay": 1, "acme.session": 1}
	if !maps.Equal(calls, want) {
		t.Errorf("calls: %v, want %v", calls, want)
	}
	if u.Calls.Calls != 21 || u.InFlight != 0 {
		t.Errorf("%d calls, %d in flight; want 21, 0", u.Calls.Calls, u.InFlight)
	}
	if want := map[string]uint64{"raised": 1, "exhausted": 1}; !maps.Equal(u.Errors, want) {
		t.Errorf("errors: %v, want %v", u.Errors, want)
	}
	if u.Denied != 3 || u.Limited != 2 || usageOf(t, dir, "other").Denied != 3 {
		other := usageOf(t, dir, "other")
		t.Errorf("denied %d, limited %d, denied of other %d; want 3, 2, 3", u.Denied, u.Limited, other.Denied)
	}
	if u.BytesIn < 10_000 || u.BytesOut < 10_000 || u.BytesIn > 15_000 || u.BytesOut > 15_000 {
		t.Errorf("%d bytes in, %d out; want a little more than 10000", u.BytesIn, u.BytesOut)
	}
	if u.Steps < 100_000 || u.Steps > 110_000 || u.Seconds <= 0 {
		t.Errorf("%d steps in %v s, want a little more than the 100000 of the stopped call", u.Steps, u.Seconds)
	}
	if u.Processes != 1 || u.Starts != 1 || u.Crashes != 0 {
		t.Errorf("%d processes, %d starts, %d crashes; want 1, 1, 0", u.Processes, u.Starts, u.Crashes)
	}
	var all usage.Usage
	_, body := admin(t, dir, "/v1/usage")
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all.Tenants) != 2 || all.Elsewhere != 3 {
		t.Errorf("all: %v, %+v", err, all)
	}
	status, body := admin(t, dir, "/v1/usage?tenant=nosuch")
	if status != http.StatusNotFound || !strings.Contains(body, `no tenant \"nosuch\"; it serves [acme other]`) {
		t.Errorf("an unknown tenant: %d %s", status, body)
	}
}

// TestUsageAfterWorkerExit kills the worker: the tenant's usage keeps the worker's counts and includes the crash.
func TestUsageAfterWorkerExit(t *testing.T) {
	h, dir := startHost(t, everything)
	c := dial(t, h.Addrs()[0], client.Config{})
	_, err := c.Object("acme.echo").Call(t.Context(), "spin") // 50 million steps
	wantRemote(t, err, "", "limit exceeded")
	before := usageOf(t, dir, "acme")
	pid := h.Workers()["acme"]
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	for i := 0; h.Workers()["acme"] == pid; i++ {
		if i == 1e6 {
			t.Fatal("the worker does not exit")
		}
		_, _ = c.Object("acme.counter").Call(t.Context(), "add", 1)
	}
	if _, err := c.Object("acme.counter").Call(t.Context(), "add", 1); err != nil {
		t.Fatal(err)
	}
	after := usageOf(t, dir, "acme")
	if after.Starts != 2 || after.Crashes != 1 || after.Processes != 1 {
		t.Errorf("%d starts, %d crashes, %d processes; want 2, 1, 1", after.Starts, after.Crashes, after.Processes)
	}
	if before.CPUSeconds <= 0 || after.CPUSeconds < before.CPUSeconds || after.PeakBytes < before.PeakBytes {
		t.Errorf("before %v s, %d bytes; after %v s, %d bytes",
			before.CPUSeconds, before.PeakBytes, after.CPUSeconds, after.PeakBytes)
	}
}

func TestStatus(t *testing.T) {
	const isolated = "tenant \"other\" { isolation = \"object\" }"
	h, dir := startHost(t, strings.Replace(everything, `tenant "other" {}`, isolated, 1))
	c := dial(t, h.Addrs()[0], client.Config{})
	if _, err := c.Object("acme.counter").Call(t.Context(), "add", 1); err != nil {
		t.Fatal(err)
	}
	code, body := admin(t, dir, "/v1/status")
	var s observe.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || code != http.StatusOK {
		t.Fatalf("%d, %v\n%s", code, err, body)
	}
	if s.PID != os.Getpid() || s.Version != "test" || s.Connections != 1 || s.Unauthenticated != 0 || s.Draining ||
		!slices.Equal(s.Addresses, h.Addrs()) {
		t.Errorf("%+v", s)
	}
	if s.Reloads != (observe.ReloadStatus{}) || len(s.Refusals) != 0 || s.Metrics != "" {
		t.Errorf("%+v", s)
	}
	want := []backend.WorkerStatus{
		{Name: "acme", Tenant: "acme", Kind: backend.KindWorker, State: backend.StateRunning, PID: h.Workers()["acme"]},
		{Name: "other.hidden", Tenant: "other", Kind: backend.KindWorker, State: backend.StateIdle},
	}
	if !slices.Equal(s.Workers, want) {
		t.Errorf("workers: %+v, want %+v", s.Workers, want)
	}
	for path, want := range map[string]int{"/": 404, "/v1": 404, "/v2/status": 404, "/v1/status/": 404} {
		if code, _ := admin(t, dir, path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}

// TestMetrics scrapes the admin socket and the metrics listener and parses the metrics.
func TestMetrics(t *testing.T) {
	h, dir := startHost(t, "admin { address = \"127.0.0.1:0\" }\n"+everything)
	c := dial(t, h.Addrs()[0], client.Config{})
	for range 5 {
		if _, err := c.Object("acme.counter").Call(t.Context(), "add", 1); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.Object("acme.echo").Call(t.Context(), "fail")
	wantRemote(t, err, "builtins.KeyError", "gone")
	_, _ = c.Object("acme.nosuch").Call(t.Context(), "hi")
	address := h.Status().Metrics
	_, socketText := admin(t, dir, "/metrics")
	code, listenerText := get(t, &http.Transport{}, "http://"+address+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("the loopback listener: %d", code)
	}
	for _, text := range []string{socketText, listenerText} {
		got := parseMetrics(t, text)
		for name, want := range map[string]float64{
			`hearth_calls_total{tenant="acme",code="ok"}`:                  5,
			`hearth_calls_total{tenant="acme",code="raised"}`:              1,
			`hearth_calls_total{tenant="acme",code="deadline"}`:            0,
			`hearth_calls_total{tenant="other",code="ok"}`:                 0,
			`hearth_call_duration_seconds_bucket{tenant="acme",le="+Inf"}`: 6,
			`hearth_call_duration_seconds_count{tenant="acme"}`:            6,
			`hearth_calls_in_flight{tenant="acme"}`:                        0,
			`hearth_denials_total{tenant="acme"}`:                          1,
			`hearth_denials_total{tenant=""}`:                              0,
			`hearth_processes{tenant="acme"}`:                              1,
			`hearth_process_starts_total{tenant="acme"}`:                   1,
			`hearth_workers{kind="worker",state="running"}`:                1,
			`hearth_workers{kind="worker",state="idle"}`:                   1,
			`hearth_workers{kind="plugin",state="running"}`:                0,
			`hearth_reloads_total{result="applied"}`:                       0,
			`hearth_policy_refused`:                                        0,
			`hearth_connections{state="authenticated"}`:                    1,
			`hearth_draining`:                                              0,
			`hearth_audit_records_lost_total`:                              0,
		} {
			if v, ok := got[name]; !ok || v != want {
				t.Errorf("%s = %v (found: %v), want %v", name, v, ok, want)
			}
		}
		// The live heap is 0 before the first garbage collection.
		_, live := got["go_gc_heap_live_bytes"]
		if !live || got["go_memory_classes_heap_objects_bytes"] <= 0 || got["go_goroutines"] < 5 {
			t.Errorf("the host's heap or goroutines are missing:\n%s", text)
		}
		if got[`hearth_steps_total{tenant="acme"}`] <= 0 || got["hearth_audit_records_total"] < 7 ||
			got["process_cpu_seconds_total"] <= 0 {
			t.Errorf("steps, audit records or the host's CPU time are missing:\n%s", text)
		}
	}
	doc, err := os.ReadFile("../doc/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(socketText) {
		if f := strings.Fields(line); f[0] == "#" && f[1] == "TYPE" && !strings.Contains(string(doc), "`"+f[2]+"`") {
			t.Errorf("doc/metrics.md does not list %s", f[2])
		}
	}

	// The loopback listener serves only metrics. It rejects requests with another host name, which a web page could
	// send with DNS rebinding.
	for _, path := range []string{"/", "/v1/status", "/v1/usage", "/debug/pprof/"} {
		if code, body := get(t, &http.Transport{}, "http://"+address+path); code != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	_, port, _ := net.SplitHostPort(address)
	rebound := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}}
	if code, _ := get(t, rebound, "http://evil.example:"+port+"/metrics"); code != http.StatusForbidden {
		t.Errorf("under another name: %d, want 403", code)
	}
	code, _ = get(t, &http.Transport{}, "http://localhost:"+port+"/metrics")
	if code != http.StatusOK && !strings.Contains(address, "[::1]") {
		t.Errorf("as localhost: %d", code)
	}
}

// parseMetrics parses the exposition format and returns the samples by name and labels. It fails the test if a sample
// is not of the family above it, if a family or a sample is repeated, or if a histogram is inconsistent.
func parseMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	families := map[string]bool{}
	family, kind := "", ""
	last := map[string]float64{} // last bucket of a histogram, by its other labels
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line has no newline")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if help, ok := strings.CutPrefix(line, "# HELP "); ok {
			family, _, _ = strings.Cut(help, " ")
			if families[family] {
				t.Errorf("family %s is repeated", family)
			}
			families[family], kind = true, ""
			continue
		}
		if typ, ok := strings.CutPrefix(line, "# TYPE "+family+" "); ok {
			kind = typ
			if (kind == "counter") != strings.HasSuffix(family, "_total") {
				t.Errorf("%s is a %s", family, kind)
			}
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || kind == "" {
			t.Fatalf("not a sample: %q", line)
		}
		key := line[:i]
		name, labels, _ := strings.Cut(key, "{")
		base := name
		if kind == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if _, repeated := got[key]; err != nil || v < 0 || base != family || repeated {
			t.Errorf("%q in family %s (%v; repeated: %v)", line, family, err, repeated)
		}
		got[key] = v
		if others, le, ok := strings.Cut(labels, `,le="`); ok {
			if v < last[name+others] {
				t.Errorf("%q: a bucket is smaller than the bucket below it", line)
			}
			last[name+others] = v
			if count := key[:strings.LastIndex(key, "_bucket")] + "_count{" + others + "}"; le == `+Inf"}` {
				defer func() {
					if got[count] != v {
						t.Errorf("%s = %v, but its last bucket is %v", count, got[count], v)
					}
				}()
			}
		}
	}
	return got
}

// TestAdminSocketIsPrivate checks the mode and the path of the admin socket, and that the host removes it.
func TestAdminSocketIsPrivate(t *testing.T) {
	dir := ""
	t.Run("serve", func(t *testing.T) {
		_, dir = startHost(t, everything)
		info, err := os.Lstat(filepath.Join(dir, "state", "admin.sock"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("mode %v, want a socket of mode 0600", info.Mode())
		}
	})
	if _, err := os.Lstat(filepath.Join(dir, "state", "admin.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the host did not remove its admin socket: %v", err)
	}
}

// TestMetricsAddressInUse starts a host whose metrics address is in use. Listen fails; its error has the policy line.
func TestMetricsAddressInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	h, dir := makeHost(t, fmt.Sprintf("\nadmin { address = %q }\n%s", ln.Addr(), everything))
	err = h.Listen(t.Context())
	if err == nil || !strings.Contains(err.Error(), "policy.hcl:2: listening for metrics on "+ln.Addr().String()) {
		t.Errorf("Listen() = %v, want the address in use and its policy line", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "state", "admin.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Listen did not remove the admin socket: %v", err)
	}
}

// TestReloadMetrics makes an applied and a refused change: metrics and status report both. Neither resets the usage.
func TestReloadMetrics(t *testing.T) {
	h, dir := startHost(t, everything)
	c := dial(t, h.Addrs()[0], client.Config{})
	change := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "scripts", "acme", "counter.lua"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := h.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Object("acme.counter").Call(t.Context(), "add", 1); err != nil {
			t.Fatal(err)
		}
	}
	change(scripts["acme/counter.lua"] + "\n-- same code")
	change("this is not Lua")
	_, text := admin(t, dir, "/metrics")
	got := parseMetrics(t, text)
	if n := got[`hearth_reloads_total{result="applied"}`]; n < 1 {
		t.Errorf("%v changes applied, want at least 1", n)
	}
	if n := got[`hearth_reloads_total{result="refused"}`]; n < 1 || got["hearth_refusals"] < 1 {
		t.Errorf("%v changes refused, %v refusals now; want at least 1:\n%s", n, got["hearth_refusals"], text)
	}
	if got["hearth_policy_refused"] != 0 || got["hearth_reload_time_seconds"] <= 0 {
		t.Errorf("the policy is refused, or the reload time is missing:\n%s", text)
	}
	if s := h.Status(); len(s.Refusals) == 0 || s.Refusals[0].ID != "acme.counter" {
		t.Errorf("refusals: %+v", s.Refusals)
	}
	change(scripts["acme/counter.lua"])
	if u := usageOf(t, dir, "acme"); u.Calls.Calls != 3 {
		t.Errorf("%d calls, want 3", u.Calls.Calls)
	}
	isCounter := func(r fault.Refusal) bool { return r.ID == "acme.counter" }
	if s := h.Status(); slices.ContainsFunc(s.Refusals, isCounter) {
		t.Errorf("the original script is refused: %+v", s.Refusals)
	}
}
