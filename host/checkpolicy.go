package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/hearthhost/hearth/host/builtin"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport/enroll"
)

// CheckPolicyFile rejects a policy file that users other than the host's and root can write or
// replace: they would control all access. A path of "" is the built-in policy and passes. A
// missing file passes too, since its reader reports it.
func CheckPolicyFile(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stat the policy file: %w", err)
	}
	if err := safefile.CheckFile(path, info); err != nil {
		return fmt.Errorf("checking the policy file: %w", err)
	}
	return nil
}

// CheckPolicy returns the errors of a policy under which [New] would fail. It does not check the user of the
// process, keys and certificates.
func CheckPolicy(p *policy.Policy) error {
	return errors.Join(checkTenants(p), checkFolders(p))
}

// CheckEnroll returns an error if a principal cannot be enrolled under a policy.
func CheckEnroll(p *policy.Policy, who object.Principal, kind enroll.Kind) error {
	return builtin.CheckEnroll(p, who, kind)
}
