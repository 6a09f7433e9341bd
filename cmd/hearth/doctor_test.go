package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const doctorPolicy = `
listener "local" { address = "127.0.0.1:0" }
principal "me" { host_user = true }
tenant "plain" {}
tenant "own" {
  uid = 4343
  limits { memory = "64MiB" }
  plugin "tool" { unpinned = true }
  plugin "free" {
    unpinned   = true
    unconfined = true
  }
}
`

type foundLayer struct{ Tenant, Plugin, Layer, Status, Reason, Remedy string }

// TestDoctor checks this machine as root, which has all rights, and as an ordinary user, which cannot set a uid: then
// doctor fails, serve rejects the policy, and a policy with allow_missing is served.
func TestDoctor(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: workers are confined on Linux")
	}
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // another user must be able to enter it
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	bin := filepath.Join(dir, "hearth")
	buildHearth(t, bin)
	check(t, os.Mkdir(filepath.Join(dir, "scripts"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "policy.hcl"), []byte(doctorPolicy), 0o644))
	weak := strings.Replace(doctorPolicy, "uid = 4343", "uid = 4343\n  allow_missing = [\"uid\", \"cgroup\"]", 1)
	check(t, os.WriteFile(filepath.Join(dir, "weak.hcl"), []byte(weak), 0o644))
	run := func(uid int, args ...string) (stdout, stderr string, code int) {
		t.Helper()
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), bin, args...)
		cmd.Dir, cmd.Env = dir, []string{}
		if uid != os.Getuid() {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		}
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		_ = cmd.Run() // the exit code is checked
		return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
	}
	find := func(out string) map[string]foundLayer {
		t.Helper()
		var all []foundLayer
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		by := map[string]foundLayer{}
		for _, f := range all {
			by[strings.TrimSuffix(f.Tenant+"."+f.Plugin, ".")+" "+f.Layer] = f
		}
		return by
	}
	user := os.Getuid()
	if user == 0 {
		out, stderr, code := run(0, "doctor", "--json")
		walls := find(out)
		for _, layer := range []string{"uid", "namespaces", "no-new-privs", "seccomp", "rlimits", "dumpable",
			"parent-death"} {
			for _, who := range []string{"own ", "own.tool "} {
				if f := walls[who+layer]; f.Status != "holds" {
					t.Errorf("as root: %+v", f)
				}
			}
		}
		for _, f := range walls {
			if code == 0 && f.Status == "missing" || f.Status == "missing" && (f.Reason == "" || f.Remedy == "") {
				t.Errorf("as root, code %d: %+v\n%s", code, f, stderr)
			}
		}
		user = 65534
	}
	out, _, code := run(user, "doctor", "--json")
	walls := find(out)
	if f := walls["own uid"]; code != 1 || f.Status != "missing" || !strings.Contains(f.Remedy, "root") {
		t.Errorf("as an ordinary user, code %d: %+v", code, f)
	}
	if f := walls["own.tool namespaces"]; f.Status != "holds" {
		t.Errorf("a plugin as an ordinary user: %+v", f)
	}
	if f := walls["own.free all"]; f.Status != "allowed" ||
		!strings.Contains(f.Reason, "unconfined = true at policy.hcl:9") {
		t.Errorf("an unconfined plugin: %+v", f)
	}
	if f := walls["plain uid"]; f.Status == "missing" {
		t.Errorf("a tenant without a uid: %+v", f)
	}
	if _, stderr, code := run(user, "serve", "--check"); code != 1 ||
		!strings.Contains(stderr, `tenant "own" has uid 4343: only a host that runs as root can switch to it`) {
		t.Errorf("serve --check, code %d: %s", code, stderr)
	}
	out, _, _ = run(user, "doctor", "--policy", "weak.hcl", "--json")
	if f := find(out)["own uid"]; f.Status != "allowed" {
		t.Errorf("allowed: %+v", f)
	}
	if _, stderr, code := run(user, "serve", "--check", "--policy", "weak.hcl"); strings.Contains(stderr, "has uid") {
		t.Errorf("serve --check of the weakened policy, code %d: %s", code, stderr)
	}
}
