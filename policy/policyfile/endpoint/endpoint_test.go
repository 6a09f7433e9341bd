package endpoint_test

import (
	"testing"

	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policytest"
)

func TestAdmin(t *testing.T) {
	for src, want := range map[string]policy.Admin{
		"":                                     {},
		"admin {}":                             {},
		`admin { address = "127.0.0.1:9766" }`: {Address: "127.0.0.1:9766", Where: "policy.hcl:1"},
		`admin { address = "[::1]:0" }`:        {Address: "[::1]:0", Where: "policy.hcl:1"},
		"listener \"l\" { address = \"127.0.0.1:0\" }\nadmin { address = \"127.0.0.1:0\" }": {Address: "127.0.0.1:0",
			Where: "policy.hcl:2"},
	} {
		if got := policytest.Parse(t, src).Admin; got != want {
			t.Errorf("%q: %+v, want %+v", src, got, want)
		}
	}
}

func TestTrace(t *testing.T) {
	for src, want := range map[string]policy.Trace{
		"": {},
		`trace { endpoint = "http://127.0.0.1:4318" }`: {Endpoint: "http://127.0.0.1:4318",
			Traces: 1},
		"trace {\n endpoint = \"http://[::1]:4318/\"\n traces = \"all\"\n}": {Endpoint: "http://[::1]:4318",
			Traces: 1},
		"trace {\n endpoint = \"http://127.0.0.1:1\"\n traces = \"1/50\"\n}": {Endpoint: "http://127.0.0.1:1",
			Traces: 50},
	} {
		if got := policytest.Parse(t, src).Trace; got != want {
			t.Errorf("%q: %+v, want %+v", src, got, want)
		}
	}
}
