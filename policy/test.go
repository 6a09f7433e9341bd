package policy

import "github.com/hearthhost/hearth/object"

// TestResult is what a test block came to.
type TestResult struct {
	Name      string           `json:"name"`
	Where     string           `json:"where"` // "policy.hcl:40"
	Principal object.Principal `json:"principal"`
	Call      string           `json:"call"`
	Want      string           `json:"want"` // permit or deny
	Got       string           `json:"got"`
	Reason    string           `json:"reason"`
}

// Passed reports whether the test got what it wants.
func (t *TestResult) Passed() bool { return t.Got == t.Want }
