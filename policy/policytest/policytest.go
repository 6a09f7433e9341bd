// Package policytest has the policy head, the accounts and the callers that the tests of policy and of the packages
// below it share.
package policytest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// HostUID is the user id of the host.
const HostUID = 500

// Head is the start of a policy: a listener, three principals and two tenants.
const Head = `
listener "local" { address = "127.0.0.1:7766" }
principal "alice" { user = "alice" }
principal "bob" { uid = 1001 }
principal "owner" { host_user = true }
tenant "acme" {}
tenant "other" {}
`

// Accounts returns the user id of an OS account of the tests.
func Accounts(name string) (uint32, error) {
	uids := map[string]uint32{"alice": 1000, "bob": 1001, "alias": 1000, "root": 0, "nobody": 99, "broken": 1<<32 - 1}
	if uid, ok := uids[name]; ok {
		return uid, nil
	}
	return 0, fmt.Errorf("the system has no such account")
}

// Parse returns the policy of a text. The test fails on an error.
func Parse(t testing.TB, src string) *policy.Policy {
	t.Helper()
	p, err := policyfile.Parse("policy.hcl", []byte(src), "/base", HostUID, Accounts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Caller returns the caller that the host creates for a principal.
func Caller(p object.Principal) object.Caller {
	c := object.Caller{Principal: p}
	if id, ok := strings.CutPrefix(string(p), "object:"); ok {
		c.Tenant = object.ID(id).Tenant()
	}
	return c
}
