package credential

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/transport/enroll"
)

const vaultPolicy = `
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["hmac"]
}
principal "alice" { keys = ["alice.key"] }
`

// keyLine is a line of a key file; keys of ids of one length have lines of one length.
func keyLine(id string) string {
	return fmt.Sprintf("hearth-key-1 %s %s 2026-01-02T03:04:05Z\n", id, strings.Repeat("A", 43))
}

// openVault makes a vault of a policy and of files in a new folder.
func openVault(t *testing.T, text string, files map[string]string) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	p, err := policyfile.Parse("policy.hcl", []byte(text), dir, os.Getuid(), nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewStore(p, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return v, dir
}

// TestOneBadFile damages files of a policy in force, and has another policy come: it is taken, and
// each damaged file alone is refused. A new policy that names a file that is wrong is refused.
func TestOneBadFile(t *testing.T) {
	const more = `principal "bob" {
  keys       = ["bob.key"]
  pyro4_keys = ["bob.secret"]
}
tenant "acme" {
  secret "db" {
    file    = "db.secret"
    objects = ["acme.shop"]
  }
}
`
	v, dir := openVault(t, "enroll {}\n"+vaultPolicy+more, map[string]string{"alice.key": keyLine("alice-1"), "bob.key": keyLine("bob-2"),
		"bob.secret": "a secret that is long enough", "db.secret": "a value"})
	log := slog.New(slog.DiscardHandler)
	s, err := NewSecrets(v.policy, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	good, err := enroll.New(v.TokenFolder(), "alice", enroll.Key, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bad, err := enroll.New(v.TokenFolder(), "alice", enroll.Key, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "bob.key"), filepath.Join(dir, "bob.secret"), filepath.Join(dir, "db.secret"),
		filepath.Join(v.TokenFolder(), bad.ID+".json")} {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	parse := func(text string) *policy.Policy {
		p, err := policyfile.Parse("policy.hcl", []byte(text), dir, os.Getuid(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	next := parse("enroll {}\n" + vaultPolicy + more + `forbid "bob" {
  principals = ["bob"]
  objects    = ["acme.*"]
}
`)
	var said bytes.Buffer
	after, err := NewStore(next, v, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatalf("the policy with a forbid was refused: %v", err)
	}
	for id, want := range map[string]bool{"alice-1": true, "bob-2": true, good.ID: true, bad.ID: false} {
		if _, ok := after.Key(id); ok != want {
			t.Errorf("key %s counts: %t, want %t", id, ok, want)
		}
	}
	if len(after.current.Load().legacy) != 1 {
		t.Errorf("%d shared secrets, want bob's as it was read last", len(after.current.Load().legacy))
	}
	for _, want := range []string{"bob.key", "bob.secret", bad.ID, "level=ERROR", "chmod 600"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, &said)
		}
	}
	sealed, err := NewSecrets(next, s, log)
	if err != nil {
		t.Fatalf("the policy with a forbid was refused: %v", err)
	}
	if value, ok := sealed.Value("acme.shop", "db"); !ok || value != "a value" {
		t.Errorf("the secret is %q, %t; want it as it was read last", value, ok)
	}
	if err := os.WriteFile(filepath.Join(dir, "carol.key"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := NewStore(parse(vaultPolicy+`principal "carol" { keys = ["carol.key"] }`), v, log); err == nil {
		t.Error("a policy that names a new file of mode 0644 was taken")
	}
	if _, err := NewStore(next, nil, log); err == nil || strings.Contains(err.Error(), bad.ID) {
		t.Errorf("at the start: %v, want it to name the key files and no token", err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withoutDescriptors runs f while this process can open nothing.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// TestRevocationUnderPressure revokes a key while the host has no descriptor left to read
// of it: it is told once, and the key is gone as soon as the host can read.
func TestRevocationUnderPressure(t *testing.T) {
	v, dir := openVault(t, vaultPolicy, map[string]string{"alice.key": keyLine("good") + keyLine("leaked")})
	write(t, filepath.Join(dir, "alice.key"), keyLine("good"))
	withoutDescriptors(t, func() {
		if _, problems := v.Read(); len(problems) != 1 {
			t.Errorf("read() without descriptors: problems %v, want one", problems)
		}
		if any, problems := v.Read(); any || len(problems) != 0 {
			t.Errorf("read() again: %v, problems %v; want it told once", any, problems)
		}
	})
	if any, problems := v.Read(); !any || len(problems) != 0 {
		t.Errorf("read() with descriptors = %v, %v", any, problems)
	}
	if _, ok := v.Key("leaked"); ok {
		t.Error("the revoked key still counts")
	}
	if _, ok := v.Key("good"); !ok {
		t.Error("the other key does not count any more")
	}
}

// TestTwoChangesInOneTick replaces a key within one tick of the file system's clock: size
// and time of the file are what they were.
func TestTwoChangesInOneTick(t *testing.T) {
	tick := time.Now().Add(time.Hour)
	v, dir := openVault(t, vaultPolicy, map[string]string{"alice.key": ""})
	path := filepath.Join(dir, "alice.key")
	for _, id := range []string{"first", "other"} {
		write(t, path, keyLine(id))
		if err := os.Chtimes(path, tick, tick); err != nil {
			t.Fatal(err)
		}
		v.Read()
		if _, ok := v.Key(id); !ok {
			t.Errorf("key %s does not count", id)
		}
	}
	if _, ok := v.Key("first"); ok {
		t.Error("the key that was replaced still counts")
	}
}

// TestRevocationBesideATypingError removes a key and spoils another line of its file, which
// a new one is put into as well.
func TestRevocationBesideATypingError(t *testing.T) {
	v, dir := openVault(t, vaultPolicy, map[string]string{"alice.key": keyLine("good") + keyLine("leaked")})
	write(t, filepath.Join(dir, "alice.key"), keyLine("good")+keyLine("new")+"x"+keyLine("other"))
	if _, problems := v.Read(); len(problems) != 1 {
		t.Errorf("problems %v, want one", problems)
	}
	for id, want := range map[string]bool{"good": true, "leaked": false, "new": false, "other": false} {
		if _, ok := v.Key(id); ok != want {
			t.Errorf("key %s counts: %v, want %v", id, ok, want)
		}
	}
	write(t, filepath.Join(dir, "alice.key"), keyLine("good")+keyLine("new"))
	v.Read()
	if _, ok := v.Key("new"); !ok {
		t.Error("the mended file is not read")
	}
}

const legacyPolicy = `
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["pyro4-hmac"]
}
principal "alice" { pyro4_keys = ["alice.pyro4", "alice.new"] }
principal "bob" { pyro4_keys = ["bob.pyro4"] }
`

// TestSharedSecrets takes a secret away by emptying its file, and gives one to two
// principals: it proves neither, whoever was the first.
func TestSharedSecrets(t *testing.T) {
	v, dir := openVault(t, legacyPolicy, map[string]string{
		"alice.pyro4": "the secret of alice", "alice.new": "the secret of alice", "bob.pyro4": "the secret of bob"})
	who := func(secret string) string {
		k := v.FindLegacy(func(s []byte) bool { return string(s) == secret })
		if k == nil {
			return ""
		}
		return string(k.Principal)
	}
	want := func(what, secret, name string) {
		t.Helper()
		if got := who("the secret of " + secret); got != name {
			t.Errorf("%s: the secret of %s proves %q, want %q", what, secret, got, name)
		}
	}
	want("at first", "alice", "alice")
	want("at first", "bob", "bob")

	write(t, filepath.Join(dir, "bob.pyro4"), "")
	if _, problems := v.Read(); len(problems) != 1 {
		t.Errorf("an empty file: problems %v, want one", problems)
	}
	want("emptied", "bob", "")

	write(t, filepath.Join(dir, "bob.pyro4"), "the secret of alice")
	if _, problems := v.Read(); len(problems) != 1 {
		t.Errorf("a secret of two: problems %v, want one", problems)
	}
	want("of two", "alice", "")
}

// TestExpiredTokensAreRemoved: what is left of a token whose time is over is nothing.
func TestExpiredTokensAreRemoved(t *testing.T) {
	v, _ := openVault(t, "enroll {}\n"+vaultPolicy, map[string]string{"alice.key": keyLine("alice-1")})
	dir := v.TokenFolder()
	for _, valid := range []time.Duration{-time.Second, time.Hour} {
		if _, err := enroll.New(dir, "alice", enroll.Key, valid, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // to see it, and to remove it
		if _, problems := v.Read(); len(problems) != 0 {
			t.Fatal(problems)
		}
	}
	left, err := enroll.List(dir)
	if err != nil || len(left) != 1 || !left[0].Expires.After(time.Now()) {
		t.Errorf("left are %v, %v; want the one that is good", left, err)
	}
}
