package host

import (
	"errors"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/builtin"
	"github.com/hearthhost/hearth/host/folder"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport/enroll"
)

// CheckPolicy returns the errors of a policy under which [New] would fail. It does not check the user of the
// process, keys and certificates.
func CheckPolicy(p *policy.Policy) error {
	return errors.Join(backend.CheckPolicy(p), folder.Check(p))
}

// CheckEnroll returns an error if a principal cannot be enrolled under a policy.
func CheckEnroll(p *policy.Policy, who object.Principal, kind enroll.Kind) error {
	return builtin.CheckEnroll(p, who, kind)
}
