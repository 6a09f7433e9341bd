package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestRealPyro4Proves has the real client prove who it is in every way it can.
func TestRealPyro4Proves(t *testing.T) {
	needPyro4(t)
	h := startIdentityHost(t)
	clients, err := filepath.Abs("../../clients/python")
	check(t, err)
	cmd := pyro(t, h.liveHost, "test_identity.py")
	cmd.Env = append(cmd.Env, "HEARTH_DIR="+h.dir, "HEARTH_PORTS="+strings.Join(h.ports, ","), "HEARTH_CLIENT="+clients)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("testdata/pyro/test_identity.py: %v\n%s", err, out)
	}
	t.Logf("%s", tail(string(out), 4))
}
