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

const storePolicy = `
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["hmac"]
}
principal "alice" { keys = ["alice.key"] }
`

// keyLine returns a line of a key file. Its length depends only on the length of the id.
func keyLine(id string) string {
	return fmt.Sprintf("hearth-key-1 %s %s 2026-01-02T03:04:05Z\n", id, strings.Repeat("A", 43))
}

// openStore returns a store of a policy and of files in a new folder, and the folder.
func openStore(t *testing.T, text string, files map[string]string) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	p, err := policyfile.Parse("policy.hcl", []byte(text), dir, os.Getuid(), nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := NewStore(p, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return store, dir
}

// TestOneBadFile damages files of a policy in force, and loads another policy. The policy is accepted, and only the
// damaged files are rejected. A policy that names a new file with a mistake is rejected.
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
	store, dir := openStore(t, "enroll {}\n"+storePolicy+more, map[string]string{
		"alice.key":  keyLine("alice-1"),
		"bob.key":    keyLine("bob-2"),
		"bob.secret": "a secret that is long enough",
		"db.secret":  "a value",
	})
	log := slog.New(slog.DiscardHandler)
	s, err := NewSecrets(store.policy, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	good, err := enroll.New(store.TokenFolder(), "alice", enroll.Key, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bad, err := enroll.New(store.TokenFolder(), "alice", enroll.Key, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		filepath.Join(dir, "bob.key"),
		filepath.Join(dir, "bob.secret"),
		filepath.Join(dir, "db.secret"),
		filepath.Join(store.TokenFolder(), bad.ID+".json"),
	} {
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
	next := parse("enroll {}\n" + storePolicy + more + `forbid "bob" {
  principals = ["bob"]
  objects    = ["acme.*"]
}
`)
	var output bytes.Buffer
	after, err := NewStore(next, store, slog.New(slog.NewTextHandler(&output, nil)))
	if err != nil {
		t.Fatalf("the policy with a forbid was refused: %v", err)
	}
	for id, want := range map[string]bool{"alice-1": true, "bob-2": true, good.ID: true, bad.ID: false} {
		if _, ok := after.Key(id); ok != want {
			t.Errorf("key %s is valid: %t, want %t", id, ok, want)
		}
	}
	if len(after.current.Load().legacy) != 1 {
		t.Errorf("%d shared secrets, want bob's as it was read last", len(after.current.Load().legacy))
	}
	for _, want := range []string{"bob.key", "bob.secret", bad.ID, "level=ERROR", "chmod 600"} {
		if !strings.Contains(output.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, &output)
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
	if _, err := NewStore(parse(storePolicy+`principal "carol" { keys = ["carol.key"] }`), store, log); err == nil {
		t.Error("a policy that names a new file of mode 0644 was accepted")
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

// withoutDescriptors runs f while this process cannot open files.
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

// TestRevocationUnderPressure revokes a key while the host has no free descriptor. The failure is reported once, and
// the key is removed as soon as the host can read the file.
func TestRevocationUnderPressure(t *testing.T) {
	store, dir := openStore(t, storePolicy, map[string]string{"alice.key": keyLine("good") + keyLine("leaked")})
	write(t, filepath.Join(dir, "alice.key"), keyLine("good"))
	withoutDescriptors(t, func() {
		if _, problems := store.Read(); len(problems) != 1 {
			t.Errorf("read() without descriptors: problems %v, want one", problems)
		}
		if updated, problems := store.Read(); updated || len(problems) != 0 {
			t.Errorf("read() again: %v, problems %v; want the failure reported once", updated, problems)
		}
	})
	if updated, problems := store.Read(); !updated || len(problems) != 0 {
		t.Errorf("read() with descriptors = %v, %v", updated, problems)
	}
	if _, ok := store.Key("leaked"); ok {
		t.Error("the revoked key is still valid")
	}
	if _, ok := store.Key("good"); !ok {
		t.Error("the other key is no longer valid")
	}
}

// TestTwoChangesInOneTick replaces a key within one tick of the file system's clock: the file keeps its size and time.
func TestTwoChangesInOneTick(t *testing.T) {
	tick := time.Now().Add(time.Hour)
	store, dir := openStore(t, storePolicy, map[string]string{"alice.key": ""})
	path := filepath.Join(dir, "alice.key")
	for _, id := range []string{"first", "other"} {
		write(t, path, keyLine(id))
		if err := os.Chtimes(path, tick, tick); err != nil {
			t.Fatal(err)
		}
		store.Read()
		if _, ok := store.Key(id); !ok {
			t.Errorf("key %s is not valid", id)
		}
	}
	if _, ok := store.Key("first"); ok {
		t.Error("the replaced key is still valid")
	}
}

// TestRevocationInMalformedFile removes a key from a file, adds another one, and makes a mistake in a third line.
func TestRevocationInMalformedFile(t *testing.T) {
	store, dir := openStore(t, storePolicy, map[string]string{"alice.key": keyLine("good") + keyLine("leaked")})
	write(t, filepath.Join(dir, "alice.key"), keyLine("good")+keyLine("new")+"x"+keyLine("other"))
	if _, problems := store.Read(); len(problems) != 1 {
		t.Errorf("problems %v, want one", problems)
	}
	for id, want := range map[string]bool{"good": true, "leaked": false, "new": false, "other": false} {
		if _, ok := store.Key(id); ok != want {
			t.Errorf("key %s is valid: %v, want %v", id, ok, want)
		}
	}
	write(t, filepath.Join(dir, "alice.key"), keyLine("good")+keyLine("new"))
	store.Read()
	if _, ok := store.Key("new"); !ok {
		t.Error("the corrected file is not read")
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

// TestSharedSecrets revokes a secret by emptying its file, and gives one secret to two principals: it authenticates
// neither.
func TestSharedSecrets(t *testing.T) {
	store, dir := openStore(t, legacyPolicy, map[string]string{
		"alice.pyro4": "the secret of alice", "alice.new": "the secret of alice", "bob.pyro4": "the secret of bob"})
	principal := func(secret string) string {
		k := store.FindLegacy(func(s []byte) bool { return string(s) == secret })
		if k == nil {
			return ""
		}
		return string(k.Principal)
	}
	check := func(step, secret, want string) {
		t.Helper()
		if got := principal("the secret of " + secret); got != want {
			t.Errorf("%s: the secret of %s authenticates %q, want %q", step, secret, got, want)
		}
	}
	check("at first", "alice", "alice")
	check("at first", "bob", "bob")

	write(t, filepath.Join(dir, "bob.pyro4"), "")
	if _, problems := store.Read(); len(problems) != 1 {
		t.Errorf("an empty file: problems %v, want one", problems)
	}
	check("emptied", "bob", "")

	write(t, filepath.Join(dir, "bob.pyro4"), "the secret of alice")
	if _, problems := store.Read(); len(problems) != 1 {
		t.Errorf("a secret of two: problems %v, want one", problems)
	}
	check("of two", "alice", "")
}

// TestExpiredTokensAreRemoved: the file of an expired token is removed.
func TestExpiredTokensAreRemoved(t *testing.T) {
	store, _ := openStore(t, "enroll {}\n"+storePolicy, map[string]string{"alice.key": keyLine("alice-1")})
	dir := store.TokenFolder()
	for _, valid := range []time.Duration{-time.Second, time.Hour} {
		if _, err := enroll.New(dir, "alice", enroll.Key, valid, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // to see it, and to remove it
		if _, problems := store.Read(); len(problems) != 0 {
			t.Fatal(problems)
		}
	}
	left, err := enroll.List(dir)
	if err != nil || len(left) != 1 || !left[0].Expires.After(time.Now()) {
		t.Errorf("left are %v, %v; want the one that is good", left, err)
	}
}
