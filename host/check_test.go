package host_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/host/dryrun"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/transport/ca"
)

// manyFiles is a policy of a host with files of every kind. %s is the SHA-256 of its plugin.
const manyFiles = `
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["peer", "hmac"]
}
listener "wan" {
  address  = "127.0.0.1:0"
  identify = ["cert"]
  tls {
    cert      = "tls/host.pem"
    key       = "tls/host.key"
    client_ca = "tls/clients.pem"
  }
}
principal "owner" { host_user = true }
principal "alice" { keys = ["alice.key"] }
principal "bob" {
  cert {
    dns = "bob.example"
  }
}
tenant "acme" {
  plugin "tool" { sha256 = "%s" }
  secret "db" {
    file    = "db.secret"
    objects = ["acme.counter"]
  }
}
tenant "other" {}
permit "owner may call acme" {
  principals = ["owner", "alice", "bob"]
  objects    = ["acme.*"]
}
`

// putFiles creates the files of manyFiles in dir and returns the policy.
func putFiles(t *testing.T, dir string) string {
	t.Helper()
	for name, text := range scripts {
		if name == "acme/broken.lua" {
			continue
		}
		putFile(t, filepath.Join(dir, "scripts", name), text, 0o644)
	}
	tool := filepath.Join(dir, "plugins", "acme", "tool")
	putFile(t, tool, "#!/bin/sh\n", 0o755)
	sum, err := binary.Sum(tool)
	if err != nil {
		t.Fatal(err)
	}
	key := "hearth-key-1 alice-1 " + strings.Repeat("A", 43) + " 2026-01-02T03:04:05Z\n"
	putFile(t, filepath.Join(dir, "alice.key"), key, 0o600)
	putFile(t, filepath.Join(dir, "db.secret"), "a value of some length", 0o600)
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	putCertificate(t, dir, time.Now(), 90)
	return fmt.Sprintf(manyFiles, sum)
}

func putFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// putCertificate creates an authority, and a host certificate that it issues at start for a number of days.
func putCertificate(t *testing.T, dir string, start time.Time, days int) {
	t.Helper()
	authority, err := ca.Init(filepath.Join(t.TempDir(), "ca"), "test", 3650, time.Now().AddDate(-2, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, errKey := ca.EncodeKey(key)
	cert, _, err := authority.Issue(ca.Request{
		Name:      "host",
		Kind:      ca.Server,
		IPs:       []net.IP{net.IPv4(127, 0, 0, 1)},
		Days:      days,
		PublicKey: key.Public(),
	}, start)
	if err := errors.Join(errKey, err); err != nil {
		t.Fatal(err)
	}
	putFile(t, filepath.Join(dir, "tls", "clients.pem"), string(authority.PEM()), 0o644)
	putFile(t, filepath.Join(dir, "tls", "host.key"), string(keyPEM), 0o600)
	putFile(t, filepath.Join(dir, "tls", "host.pem"), string(cert), 0o644)
}

// faultCase is one fault in a host's files; apply creates it.
type faultCase struct {
	name  string
	apply func(t *testing.T, dir string)
	text  string // part of the fault's text; "" without a fault
	path  string // path of the fault
	note  bool   // whether the fault is only a note
	// running reports whether a running host also detects the fault.
	running bool
}

func chmod(name string, mode os.FileMode) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func text(name, content string, mode os.FileMode) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) { t.Helper(); putFile(t, filepath.Join(dir, name), content, mode) }
}

func issue(ago time.Duration, days int) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) { t.Helper(); putCertificate(t, dir, time.Now().Add(-ago), days) }
}

const day = 24 * time.Hour

var faults = []faultCase{
	{name: "nothing", apply: func(*testing.T, string) {}},
	{name: "expired", apply: issue(392*day+time.Hour, 90), text: "expired 302 days ago", path: "tls/host.pem"},
	{
		name:  "expired today",
		apply: issue(90*day+5*time.Hour+time.Minute, 90),
		text:  "expired 5 hours ago",
		path:  "tls/host.pem",
	},
	{
		name:    "expires soon",
		apply:   issue(80*day-time.Hour, 90),
		text:    "expires in 10 days",
		path:    "tls/host.pem",
		note:    true,
		running: true,
	},
	{name: "not valid yet", apply: issue(-3*day-time.Hour, 90), text: "is not valid yet", path: "tls/host.pem"},
	{name: "state", apply: chmod("state", 0o777), text: "chmod o-w", path: "state", running: true},
	{name: "state is a file", apply: func(t *testing.T, dir string) {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, "state")); err != nil {
			t.Fatal(err)
		}
		text("state", "", 0o600)(t, dir)
	}, text: "cannot write to it", path: "state"},
	{name: "scripts", apply: chmod("scripts", 0o777), text: "chmod o-w", path: "scripts", running: true},
	{name: "key", apply: chmod("alice.key", 0o644), text: "chmod 600", path: "alice.key", running: true},
	{name: "private key", apply: chmod("tls/host.key", 0o644), text: "chmod 600", path: "tls/host.key", running: true},
	{name: "secret", apply: chmod("db.secret", 0o644), text: "chmod 600", path: "db.secret", running: true},
	{
		name: "secret is missing",
		apply: func(t *testing.T, dir string) {
			t.Helper()
			_ = os.Remove(filepath.Join(dir, "db.secret"))
		},
		text:    "no such file",
		path:    "db.secret",
		running: true,
	},
	{name: "audit log", apply: func(t *testing.T, dir string) {
		t.Helper()
		text("state/audit.jsonl", "", 0o600)(t, dir)
		chmod("state/audit.jsonl", 0o644)(t, dir)
	}, text: "chmod 600", path: "state/audit.jsonl", running: true},
	{name: "audit log is a folder", apply: func(t *testing.T, dir string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, "state", "audit.jsonl"), 0o700); err != nil {
			t.Fatal(err)
		}
	}, text: "is a directory", path: "state/audit.jsonl"},
	{
		name:  "no audit log",
		apply: text("state/audit.jsonl", strings.Repeat("not a record\n", 20_000), 0o600),
		text:  "not an audit log",
		path:  "state/audit.jsonl",
	},
	{
		name:    "syntax",
		apply:   text("scripts/acme/bad.lua", "local x = 1\nlocal y = = 2\n", 0o644),
		text:    "acme/bad.lua:2:",
		path:    "scripts/acme/bad.lua",
		running: true,
	},
	{
		name:    "load",
		apply:   text("scripts/acme/bad.lua", "local x\n\nreturn x.y\n", 0o644),
		text:    "acme/bad.lua:3:",
		path:    "scripts/acme/bad.lua",
		running: true,
	},
	{name: "module", apply: func(t *testing.T, dir string) {
		t.Helper()
		text("scripts/acme/lib/m.lua", "return {\n", 0o644)(t, dir)
		text("scripts/acme/bad.lua", `require "m"`, 0o644)(t, dir)
	}, text: "acme/lib/m.lua:", path: "scripts/acme/bad.lua", running: true},
	{
		name:  "plugin",
		apply: text("plugins/acme/tool", "#!/bin/bash\n", 0o755),
		text:  "hash mismatch",
		path:  "plugins/acme/tool",
	},
	{
		name:    "plugin without a block",
		apply:   text("plugins/acme/more", "#!/bin/sh\n", 0o755),
		text:    "no plugin block pins it",
		path:    "plugins/acme/more",
		running: true,
	},
	{
		name:    "folder of no tenant",
		apply:   text("scripts/free/x.lua", "", 0o644),
		text:    "the policy has no tenant",
		path:    "scripts/free",
		note:    true,
		running: true,
	},
}

// check fails the test if the refusals lack the fault. Without a fault it requires no refusals.
func (f *faultCase) check(t *testing.T, dir string, all []fault.Refusal) {
	t.Helper()
	for _, r := range all {
		hasPath := r.Path == filepath.Join(dir, f.path) || strings.Contains(r.Err, f.path)
		if f.text != "" && r.Note == f.note && hasPath && strings.Contains(r.Err, f.text) {
			return
		}
	}
	if f.text != "" || len(all) > 0 {
		t.Errorf("found %+v; want %q at %s", all, f.text, f.path)
	}
}

// TestCheck puts a fault in each kind of file that a start reads: Check reports the file and the fault. Without a
// fault it reports nothing.
func TestCheck(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			text := putFiles(t, dir)
			f.apply(t, dir)
			p, err := policyfile.Parse("policy.hcl", []byte(text), dir, os.Getuid(), nil)
			if err != nil {
				t.Fatal(err)
			}
			cfg := dryrun.Config{Policy: p, PolicyFile: "policy.hcl", Worker: []string{os.Args[0], "worker"}}
			f.check(t, dir, dryrun.Check(t.Context(), cfg))
		})
	}
}

// TestReloadReportsFaults puts the same faults in files of a running host: it reports them and still serves calls.
func TestReloadReportsFaults(t *testing.T) {
	for _, f := range faults {
		if !f.running && f.text != "" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			var dir string
			h, _ := startHost(t, everything, func(cfg *host.Config) {
				dir = t.TempDir()
				file := filepath.Join(dir, "policy.hcl")
				putFile(t, file, putFiles(t, dir), 0o644)
				load := func() (*policy.Policy, error) { return policyfile.Load(file, os.Getuid()) }
				p, err := load()
				if err != nil {
					t.Fatal(err)
				}
				cfg.Policy, cfg.PolicyFile, cfg.Load, cfg.Shim = p, file, load, []string{"/nonexistent/shim"}
				cfg.Log = slog.New(slog.DiscardHandler)
			})
			f.apply(t, dir)
			if err := h.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.check(t, dir, h.Refusals())
			c := dial(t, h.Addrs()[0], client.Config{})
			if _, err := c.Object("acme.counter").Call(t.Context(), "add", 1); err != nil {
				t.Errorf("a call after the reload: %v", err)
			}
		})
	}
}

// TestForbidUnderFaults makes a host folder world-writable and adds a forbid to the policy: the forbid takes effect.
func TestForbidUnderFaults(t *testing.T) {
	for _, name := range []string{"state", "scripts"} {
		h, dir := startHost(t, everything)
		c := dial(t, h.Addrs()[0], client.Config{})
		if _, err := c.Object("acme.counter").Call(t.Context(), "add", 1); err != nil {
			t.Fatal(err)
		}
		chmod(name, 0o777)(t, dir)
		putFile(t, filepath.Join(dir, "policy.hcl"), everything+`forbid "stop" {
  principals = ["owner"]
  objects    = ["acme.counter"]
}
`, 0o644)
		if err := h.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := c.Object("acme.counter").Call(t.Context(), "add", 1)
		wantRemote(t, err, "", "unknown object")
		if _, err := c.Object("acme.echo").Call(t.Context(), "echo", 1); err != nil {
			t.Errorf("%s of mode 777: a permitted call: %v", name, err)
		}
	}
}

// TestCertificateExpiry checks the metric with the end of the certificate in use. An expired certificate does not
// replace a valid one, and the log has the time since it expired.
func TestCertificateExpiry(t *testing.T) {
	var dir string
	log := new(buffer)
	start := func(ago time.Duration) *host.Host {
		h, _ := startHost(t, everything, func(cfg *host.Config) {
			dir = t.TempDir()
			file := filepath.Join(dir, "policy.hcl")
			putFile(t, file, putFiles(t, dir), 0o644)
			issue(ago, 90)(t, dir)
			load := func() (*policy.Policy, error) { return policyfile.Load(file, os.Getuid()) }
			p, err := load()
			if err != nil {
				t.Fatal(err)
			}
			cfg.Policy, cfg.PolicyFile, cfg.Load, cfg.Shim = p, file, load, []string{"/nonexistent/shim"}
			cfg.Log = slog.New(slog.NewTextHandler(log, nil))
		})
		return h
	}
	expiry := func() time.Time {
		_, text := admin(t, dir, "/metrics")
		seconds := parseMetrics(t, text)[`hearth_certificate_expiry_time_seconds{listener="wan"}`]
		return time.Unix(int64(seconds), 0)
	}
	h := start(0)
	before := expiry()
	if left := time.Until(before); left < 89*day || left > 91*day {
		t.Errorf("the metric's time is in %s, want in 90 days", left)
	}
	issue(392*day+time.Hour, 90)(t, dir)
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := expiry(); !after.Equal(before) {
		t.Errorf("an expired certificate is in use: until %s, before %s", after, before)
	}
	if r := h.Refusals(); len(r) != 1 || !strings.Contains(r[0].Err, "stays in use") {
		t.Errorf("refusals: %+v", r)
	}
	h = start(392*day + time.Hour)
	if left := time.Until(expiry()); left > -301*day {
		t.Errorf("the metric's time is in %s, want 302 days ago", left)
	}
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = "expired 302 days ago"
	if r := h.Refusals(); len(r) != 1 || r[0].Note || !strings.Contains(r[0].Err, want) {
		t.Errorf("refusals: %+v", r)
	}
	if !strings.Contains(log.String(), want) || strings.Contains(log.String(), "days=-") {
		t.Errorf("log: %s", log)
	}
}
