package policyfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

const hostUID = 500

// accounts are the OS accounts of the tests.
func accounts(name string) (uint32, error) {
	uids := map[string]uint32{"alice": 1000, "bob": 1001, "alias": 1000, "root": 0, "nobody": 99, "broken": 1<<32 - 1}
	if uid, ok := uids[name]; ok {
		return uid, nil
	}
	return 0, fmt.Errorf("the system has no such account")
}

func mustParse(t testing.TB, src string) *policy.Policy {
	t.Helper()
	p, err := policyfile.Parse("policy.hcl", []byte(src), "/base", hostUID, accounts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const head = `
listener "local" { address = "127.0.0.1:7766" }
principal "alice" { user = "alice" }
principal "bob" { uid = 1001 }
principal "owner" { host_user = true }
tenant "acme" {}
tenant "other" {}
`

// caller returns the caller that the host creates for a principal.
func caller(p object.Principal) object.Caller {
	c := object.Caller{Principal: p}
	if id, ok := strings.CutPrefix(string(p), "object:"); ok {
		c.Tenant = object.ID(id).Tenant()
	}
	return c
}
