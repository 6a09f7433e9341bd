package condition_test

import "github.com/hearthhost/hearth/policy/policytest"

// Shared helpers under short names.
const (
	hostUID = policytest.HostUID
	head    = policytest.Head
)

var (
	accounts  = policytest.Accounts
	mustParse = policytest.Parse
)
