package policy

import (
	"errors"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/problem"
)

// TestResult is what a test block came to.
type TestResult struct {
	Name      string           `json:"name"`
	Where     string           `json:"where"` // "policy.hcl:40"
	Principal object.Principal `json:"principal"`
	Call      string           `json:"call"`
	Want      string           `json:"want"` // permit or deny
	Got       string           `json:"got"`
	Reason    string           `json:"reason"`

	at hcl.Range
}

// Passed reports whether the test got what it wants.
func (t *TestResult) Passed() bool { return t.Got == t.Want }

// failed returns the problems that failing tests are; nil if there are none.
func (p *Policy) failed() error {
	var out problem.List
	for _, t := range p.Tests {
		if !t.Passed() {
			out.Add(t.at, "", "test %q fails: %s calling %s is a %s, want %s: %s", t.Name, t.Principal, t.Call, t.Got, t.Want, t.Reason)
		}
	}
	if out == nil {
		return nil
	}
	return out.Sorted()
}

// SplitCall takes "acme.shop.cart.add" apart into object and method. The error is a hint.
func SplitCall(call string) (object.ID, object.Method, error) {
	errForm := errors.New("write <tenant>.<name>.<method>")
	i := strings.LastIndexByte(call, '.')
	if i < 0 {
		return "", "", errForm
	}
	id, m := object.ID(call[:i]), object.Method(call[i+1:])
	if _, err := object.ParseID(string(id)); err != nil {
		return "", "", errForm
	}
	return id, m, nil
}
