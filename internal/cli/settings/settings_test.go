package settings

import (
	"os"
	"testing"

	"github.com/hearthhost/hearth/internal/process"
	"github.com/hearthhost/hearth/policy"
)

// TestOfPolicy checks the rows whose values are not copied from the policy.
func TestOfPolicy(t *testing.T) {
	t.Parallel()
	p, err := policy.Default(t.TempDir(), os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	p.Audit = policy.Audit{Path: "a.jsonl", Permits: 10, Drop: true}
	p.Enroll = &policy.Enroll{CA: "ca"}
	p.Set = map[string]string{"audit": "policy.hcl:3"}
	got := map[string]Setting{}
	for _, s := range OfPolicy(p, "the built-in policy") {
		got[s.Name] = s
	}
	for name, want := range map[string]Setting{
		"policy":           {"policy", "the built-in policy", "policy.hcl", "this command line"},
		"tenants":          {"tenants", "every folder of scripts", "", "the built-in policy"},
		"enrolment":        {"enrolment", "keys, and certificates of ca", "not allowed", "default"},
		"audit permits":    {"audit permits", "1/10", "all", "policy.hcl:3"},
		"audit on_failure": {"audit on_failure", "drop-and-count", "deny", "policy.hcl:3"},
		"metrics address":  {"metrics address", "none", "none", "default"},
	} {
		if got[name] != want {
			t.Errorf("%s: %+v, want %+v", name, got[name], want)
		}
	}
}

func TestOfEnvironment(t *testing.T) {
	t.Parallel()
	e := process.Environment{Ignored: true, Reason: "--no-env"}
	if got, want := OfEnvironment(e, nil), (Setting{"environment", "ignored", "", "--no-env"}); got != want {
		t.Errorf("OfEnvironment() = %+v, want %+v", got, want)
	}
}
