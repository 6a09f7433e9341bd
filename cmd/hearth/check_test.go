package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestServeCheck runs the real binary on a folder of which one script is wrong: serve --check and doctor name file and
// line and fail, and serve --check passes without that script.
func TestServeCheck(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "hearth")
	buildHearth(t, bin)
	check(t, os.CopyFS(filepath.Join(dir, "scripts"), os.DirFS("../../scripts")))
	check(t, os.WriteFile(filepath.Join(dir, "policy.hcl"), []byte(`
listener "local" { address = "127.0.0.1:0" }
principal "me" { host_user = true }
tenant "demo" {}
permit "all" {
  principals = ["me"]
  objects    = ["demo.*"]
}
`), 0o600))
	run := func(args ...string) (out, errOut string, code int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), bin, args...)
		cmd.Dir = dir
		var o, e bytes.Buffer
		cmd.Stdout, cmd.Stderr = &o, &e
		var failed *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		return o.String(), e.String(), cmd.ProcessState.ExitCode()
	}
	if out, errOut, code := run("serve", "--check"); code != 0 || out != "policy.hcl: ok\n" ||
		strings.Count(errOut, "\n") != strings.Count(errOut, "note: ") {
		t.Errorf("code %d: %s%s", code, out, errOut)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "state")); err == nil {
		t.Errorf("the check made a state folder with %v", left)
	}
	odd := filepath.Join(dir, "scripts", "demo", "odd.lua")
	check(t, os.WriteFile(odd, []byte(`local Odd = hearth.object {}
---@param k intger
function Odd.expose:f(k) end
return Odd
`), 0o644))
	if out, errOut, code := run("serve", "--check"); code != 0 || out != "policy.hcl: ok\n" ||
		!strings.Contains(errOut, "demo/odd.lua:2: @param: the type intger is not declared") {
		t.Errorf("a wrong annotation: code %d: %s%s", code, out, errOut)
	}
	bad := filepath.Join(dir, "scripts", "demo", "bad.lua")
	check(t, os.WriteFile(bad, []byte("local x = 1\nlocal = 2\n"), 0o644))
	out, errOut, code := run("serve", "--check")
	if code != 1 || out != "" || !strings.Contains(errOut, bad+": ") || !strings.Contains(errOut, "demo/bad.lua:2:") ||
		!strings.Contains(errOut, "policy.hcl: 1 fault found") {
		t.Errorf("code %d: %s%s", code, out, errOut)
	}
	out, errOut, code = run("doctor", "--json")
	var found []struct{ Tenant, Layer, Path, Status, Reason string }
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v: %s%s", err, out, errOut)
	}
	i := slices.IndexFunc(found, func(f struct{ Tenant, Layer, Path, Status, Reason string }) bool {
		return f.Path == bad
	})
	if i < 0 || code != 1 || found[i].Layer != "files" || found[i].Status != "wrong" ||
		!strings.Contains(found[i].Reason, "demo/bad.lua:2:") {
		t.Errorf("doctor, code %d: %+v", code, found)
	}
	if out, _, code := run("doctor"); code != 1 || !strings.Contains(out, "demo/bad.lua:2:") ||
		!strings.Contains(out, "1 fault of files") {
		t.Errorf("doctor, code %d: %s", code, out)
	}
}
