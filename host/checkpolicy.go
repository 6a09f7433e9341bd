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

// CheckPolicyFile refuses a policy file that others than the host's user and root could write or
// replace: they would decide about everything. A path of "" is the built-in policy, which is no
// file; a file that does not exist is for its reader to report.
func CheckPolicyFile(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the policy: %w", err)
	}
	if err := safefile.CheckFile(path, info); err != nil {
		return fmt.Errorf("checking the policy file: %w", err)
	}
	return nil
}

// CheckPolicy returns why no host would start under a policy, as [New] finds it. It leaves out what depends on
// the user who runs the host, keys and certificates.
func CheckPolicy(p *policy.Policy) error {
	return errors.Join(checkTenants(p), checkFolders(p))
}

// CheckEnroll returns why a principal could not be enrolled under a policy.
func CheckEnroll(p *policy.Policy, who object.Principal, kind enroll.Kind) error {
	return builtin.CheckEnroll(p, who, kind)
}
