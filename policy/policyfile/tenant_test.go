package policyfile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// TestAutoUIDsStay checks that a tenant keeps its user id when other tenants come and go.
func TestAutoUIDsStay(t *testing.T) {
	text := head + "uids = \"200000-265535\"\n"
	had := map[object.Tenant]uint32{}
	for n := range 50 {
		text += fmt.Sprintf("tenant \"t%d\" { user = \"auto\" }\n", 100-n)
		p := mustParse(t, text)
		for name, uid := range had {
			if now := p.Tenant(name).UID; now != uid {
				t.Errorf("with %d tenants %s has uid %d, and had %d", n+1, name, now, uid)
			}
		}
		name := object.Tenant(fmt.Sprintf("t%d", 100-n))
		if had[name] = p.Tenant(name).UID; had[name] < 200000 || had[name] > 265535 {
			t.Errorf("%s has uid %d", name, had[name])
		}
	}
}

func TestTenant(t *testing.T) {
	p := mustParse(t, head+`
uids = "1000-1003"
tenant "red" {
  user      = "auto"
  isolation = "object"
  allow_missing = ["cgroup"]
  limits {
    memory        = "128MiB"
    processes     = 64
    cpus          = 0.5
    object_memory = "16MiB"
    max_duration  = "2s"
    steps         = 1000000
  }
  object "counter" {
    limits {
      memory    = "4MiB"
      max_duration = "500ms"
      queue     = 3
      arguments = "1KiB"
      result    = "2KiB"
    }
  }
  object "shop.cart" {}
}
tenant "blue" { user = "auto" }
tenant "plain" {}
`)
	want := policy.TenantSettings{UID: 1003, PerObject: true, AllowMissing: []string{"cgroup"},
		MemoryBytes: 128 << 20, Processes: 64, CPUs: 0.5}
	red := p.Tenant("red")
	// 1000 and 1001 are principals, 1002 is blue's.
	if diff := cmp.Diff(want, red, cmpopts.IgnoreFields(policy.TenantSettings{}, "DefaultLimits",
		"ObjectLimits")); diff != "" {
		t.Error(diff)
	}
	if blue, plain := p.Tenant("blue"), p.Tenant("plain"); blue.UID != 1002 || plain.UID != 0 || plain.PerObject {
		t.Errorf("%+v, %+v", blue, plain)
	}
	base := object.Limits{Steps: 1_000_000, MaxDuration: 2 * time.Second, Memory: 16 << 20}
	for id, want := range map[object.ID]object.Limits{
		"red.other": base, "red.shop.cart": base,
		"red.counter": {Steps: 1_000_000, MaxDuration: 500 * time.Millisecond, Memory: 4 << 20, Queue: 3,
			ArgumentBytes: 1 << 10, ResultBytes: 2 << 10},
	} {
		if diff := cmp.Diff(want, red.Limits(id)); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	plain := p.Tenant("plain")
	if got := plain.Limits("plain.x"); got != (object.Limits{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

// TestWeight checks that a tenant's share is the weight of its block, and 1 by default.
func TestWeight(t *testing.T) {
	p := mustParse(t, head+`
tenant "big" { weight = 3 }
tenant "plain" {}
`)
	for name, want := range map[object.Tenant]float64{"big": 3, "plain": 1, "unknown": 1} {
		if got := p.Weight(name); got != want {
			t.Errorf("Weight(%s) = %v, want %v", name, got, want)
		}
	}
	for _, weight := range []string{"0", "1001", "-1", "1.5", `"2"`} {
		if _, err := policyfile.Parse("policy.hcl", []byte(head+"tenant \"big\" { weight = "+weight+" }"), "/base",
			hostUID, accounts); err == nil {
			t.Errorf("weight = %s loads", weight)
		}
	}
}

func TestMessageBytes(t *testing.T) {
	for blocks, want := range map[string]int{
		"": object.DefaultMessageBytes,
		"tenant \"red\" {\n limits { arguments = \"1KiB\" }\n}": object.DefaultMessageBytes,
		"tenant \"red\" {\n limits { arguments = \"10MiB\" }\n object \"big\" {\n limits { arguments = \"12MiB\" " +
			"}\n }\n}\ntenant \"blue\" {}": 12 << 20,
	} {
		if got := mustParse(t, head+blocks).MessageBytes(); got != want {
			t.Errorf("%s\nMessageBytes() = %d, want %d", blocks, got, want)
		}
	}
	_, err := policyfile.Parse("policy.hcl", []byte(head+"tenant \"red\" {\n limits { arguments = \"33MiB\" }\n}"),
		"/base", hostUID, accounts)
	if err == nil || !strings.Contains(err.Error(), "must be a size from 1B to 32MiB") {
		t.Errorf("33MiB: %v", err)
	}
}
