package advice_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/host/advice"
	"github.com/hearthhost/hearth/internal/cgroup"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/sandbox/confine"
)

// TestBeyondMachine compares tenant limits with the resources of machines: limits that exceed them are reported.
func TestBeyondMachine(t *testing.T) {
	p, err := policyfile.Parse("policy.hcl", []byte(`
listener "local" { address = "127.0.0.1:7766" }
tenant "big" {
  limits {
    memory = "2GiB"
    cpus   = 3
  }
}
tenant "plain" {}
`), t.TempDir(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		machine cgroup.Limits
		want    []string
	}{
		{cgroup.Limits{}, nil},
		{cgroup.Limits{CPUs: 3, Bytes: 2 << 30}, nil},
		{
			machine: cgroup.Limits{CPUs: 1.5, Bytes: 2 << 30},
			want:    []string{`tenant "big": cpus = 3, and the host itself may use 1.5 `},
		},
		{
			machine: cgroup.Limits{CPUs: 8, Bytes: 1 << 30},
			want:    []string{`tenant "big": a worker may hold 2048 MiB of memory, and the host`},
		},
	} {
		got := advice.BeyondMachine(p, tc.machine)
		for i := range max(len(got), len(tc.want)) {
			if i >= len(got) || i >= len(tc.want) || !strings.HasPrefix(got[i], tc.want[i]) {
				t.Errorf("%+v: %q, want %q", tc.machine, got, tc.want)
				break
			}
		}
	}
}

// TestDefaultWorkerBytes compares the two default worker memory limits. The policy checks limits against the one in
// package object.
func TestDefaultWorkerBytes(t *testing.T) {
	if object.DefaultWorkerBytes != confine.DefaultMemoryBytes {
		t.Errorf("the default of a worker is %d bytes, that of the policy %d",
			confine.DefaultMemoryBytes, object.DefaultWorkerBytes)
	}
}
