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
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/transport/ca"
)

// manyFiles is a policy of a host that has files of every kind; %s is the hash of its plugin.
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

// putFiles makes the files of manyFiles in dir and returns the policy.
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
	putFile(t, filepath.Join(dir, "alice.key"), "hearth-key-1 alice-1 "+strings.Repeat("A", 43)+" 2026-01-02T03:04:05Z\n", 0o600)
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

// putCertificate makes an authority of clients and the host's certificate, which another authority issued at a time
// for a number of days.
func putCertificate(t *testing.T, dir string, at time.Time, days int) {
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
	cert, _, err := authority.Issue(ca.Request{Name: "host", Kind: ca.Server, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Days: days, PublicKey: key.Public()}, at)
	if err := errors.Join(errKey, err); err != nil {
		t.Fatal(err)
	}
	putFile(t, filepath.Join(dir, "tls", "clients.pem"), string(authority.PEM()), 0o644)
	putFile(t, filepath.Join(dir, "tls", "host.key"), string(keyPEM), 0o600)
	putFile(t, filepath.Join(dir, "tls", "host.pem"), string(cert), 0o644)
}

// fault is a way to spoil a host's files.
type fault struct {
	name  string
	spoil func(t *testing.T, dir string)
	text  string // part of the fault's text; "" without a fault
	path  string // path of the fault
	note  bool   // the fault is only a note
	// running is true if a running host also reports the fault.
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

func issued(ago time.Duration, days int) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) { t.Helper(); putCertificate(t, dir, time.Now().Add(-ago), days) }
}

const day = 24 * time.Hour

var faults = []fault{
	{name: "nothing", spoil: func(*testing.T, string) {}},
	{name: "expired", spoil: issued(392*day+time.Hour, 90), text: "expired 302 days ago", path: "tls/host.pem"},
	{name: "expired today", spoil: issued(90*day+5*time.Hour+time.Minute, 90), text: "expired 5 hours ago", path: "tls/host.pem"},
	{name: "expires soon", spoil: issued(80*day-time.Hour, 90), text: "expires in 10 days", path: "tls/host.pem", note: true, running: true},
	{name: "not valid yet", spoil: issued(-3*day-time.Hour, 90), text: "is not valid yet", path: "tls/host.pem"},
	{name: "state", spoil: chmod("state", 0o777), text: "chmod o-w", path: "state", running: true},
	{name: "state is a file", spoil: func(t *testing.T, dir string) {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, "state")); err != nil {
			t.Fatal(err)
		}
		text("state", "", 0o600)(t, dir)
	}, text: "cannot write to it", path: "state"},
	{name: "scripts", spoil: chmod("scripts", 0o777), text: "chmod o-w", path: "scripts", running: true},
	{name: "key", spoil: chmod("alice.key", 0o644), text: "chmod 600", path: "alice.key", running: true},
	{name: "private key", spoil: chmod("tls/host.key", 0o644), text: "chmod 600", path: "tls/host.key", running: true},
	{name: "secret", spoil: chmod("db.secret", 0o644), text: "chmod 600", path: "db.secret", running: true},
	{name: "secret is gone", spoil: func(t *testing.T, dir string) { t.Helper(); _ = os.Remove(filepath.Join(dir, "db.secret")) },
		text: "no such file", path: "db.secret", running: true},
	{name: "audit log", spoil: func(t *testing.T, dir string) {
		t.Helper()
		text("state/audit.jsonl", "", 0o600)(t, dir)
		chmod("state/audit.jsonl", 0o644)(t, dir)
	}, text: "chmod 600", path: "state/audit.jsonl", running: true},
	{name: "audit log is a folder", spoil: func(t *testing.T, dir string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, "state", "audit.jsonl"), 0o700); err != nil {
			t.Fatal(err)
		}
	}, text: "is a directory", path: "state/audit.jsonl"},
	{name: "no audit log", spoil: text("state/audit.jsonl", strings.Repeat("not a record\n", 20_000), 0o600), text: "not an audit log", path: "state/audit.jsonl"},
	{name: "syntax", spoil: text("scripts/acme/bad.lua", "local x = 1\nlocal y = = 2\n", 0o644), text: "acme/bad.lua:2:", path: "scripts/acme/bad.lua", running: true},
	{name: "load", spoil: text("scripts/acme/bad.lua", "local x\n\nreturn x.y\n", 0o644), text: "acme/bad.lua:3:", path: "scripts/acme/bad.lua", running: true},
	{name: "module", spoil: func(t *testing.T, dir string) {
		t.Helper()
		text("scripts/acme/lib/m.lua", "return {\n", 0o644)(t, dir)
		text("scripts/acme/bad.lua", `require "m"`, 0o644)(t, dir)
	}, text: "acme/lib/m.lua:", path: "scripts/acme/bad.lua", running: true},
	{name: "plugin", spoil: text("plugins/acme/tool", "#!/bin/bash\n", 0o755), text: "hash mismatch", path: "plugins/acme/tool"},
	{name: "plugin without a block", spoil: text("plugins/acme/more", "#!/bin/sh\n", 0o755), text: "no plugin block pins it", path: "plugins/acme/more", running: true},
	{name: "folder of no tenant", spoil: text("scripts/free/x.lua", "", 0o644), text: "the policy has no tenant", path: "scripts/free", note: true, running: true},
}

// check fails the test if the refusals lack the fault, or if there are refusals without a fault.
func (f *fault) check(t *testing.T, dir string, all []host.Refusal) {
	t.Helper()
	for _, r := range all {
		if f.text != "" && r.Note == f.note && (r.Path == filepath.Join(dir, f.path) || strings.Contains(r.Err, f.path)) && strings.Contains(r.Err, f.text) {
			return
		}
	}
	if f.text != "" || len(all) > 0 {
		t.Errorf("found %+v; want %q at %s", all, f.text, f.path)
	}
}

// TestCheck spoils each kind of file that a start uses: the check names the file and the fault, and finds nothing where
// all is right.
func TestCheck(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			text := putFiles(t, dir)
			f.spoil(t, dir)
			p, err := policyfile.Parse("policy.hcl", []byte(text), dir, os.Getuid(), nil)
			if err != nil {
				t.Fatal(err)
			}
			f.check(t, dir, host.Check(t.Context(), host.Config{Policy: p, PolicyFile: "policy.hcl", Worker: []string{os.Args[0], "worker"}}))
		})
	}
}

// TestReloadReportsFaults spoils the same files under a running host, which serves on and reports them.
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
			f.spoil(t, dir)
			if err := h.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.check(t, dir, h.Refusals())
			if _, err := dial(t, h.Addrs()[0], client.Config{}).Object("acme.counter").Call(t.Context(), "add", 1); err != nil {
				t.Errorf("a call: %v", err)
			}
		})
	}
}

// TestForbidUnderFaults has folders of the host opened to other users: a new policy with a forbid counts all the same.
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
			t.Errorf("%s of mode 777: what no rule forbids: %v", name, err)
		}
	}
}

// TestCertificateExpiry: a metric has the end of the certificate that is in use. One that has expired does not replace
// one that is valid, and the log names how long ago one has expired.
func TestCertificateExpiry(t *testing.T) {
	var dir string
	log := new(buffer)
	start := func(ago time.Duration) *host.Host {
		h, _ := startHost(t, everything, func(cfg *host.Config) {
			dir = t.TempDir()
			file := filepath.Join(dir, "policy.hcl")
			putFile(t, file, putFiles(t, dir), 0o644)
			issued(ago, 90)(t, dir)
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
	ends := func() time.Time {
		_, text := admin(t, dir, "/metrics")
		return time.Unix(int64(parseMetrics(t, text)[`hearth_certificate_expiry_time_seconds{listener="wan"}`]), 0)
	}
	h := start(0)
	before := ends()
	if left := time.Until(before); left < 89*day || left > 91*day {
		t.Errorf("the metric's time is in %s, want in 90 days", left)
	}
	issued(392*day+time.Hour, 90)(t, dir)
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := ends(); !after.Equal(before) {
		t.Errorf("an expired certificate is in use: until %s, before %s", after, before)
	}
	if r := h.Refusals(); len(r) != 1 || !strings.Contains(r[0].Err, "stays in use") {
		t.Errorf("refusals: %+v", r)
	}
	h = start(392*day + time.Hour)
	if left := time.Until(ends()); left > -301*day {
		t.Errorf("the metric's time is in %s, want 302 days ago", left)
	}
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	const words = "expired 302 days ago"
	if r := h.Refusals(); len(r) != 1 || r[0].Note || !strings.Contains(r[0].Err, words) {
		t.Errorf("refusals: %+v", r)
	}
	if !strings.Contains(log.String(), words) || strings.Contains(log.String(), "days=-") {
		t.Errorf("log: %s", log)
	}
}
