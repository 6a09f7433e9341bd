package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/shell"
	"github.com/hearthhost/hearth/policy"
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
	if mode := info.Mode().Perm(); mode&0o002 != 0 {
		return fmt.Errorf("the policy %s can be written by everybody (mode %04o): run chmod o-w %s", path, mode, shell.Path(path))
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("the policy %s belongs to user %d, who could change it: chown it to the host's user or to root, "+
			"and run this as the host's user", path, st.Uid)
	}
	if err := safefile.Place(path); err != nil {
		return fmt.Errorf("the policy %s: %w", path, err)
	}
	return nil
}

// CheckPolicy returns why no host would start under a policy, as [New] finds it. It leaves out what depends on
// the user who runs the host, keys and certificates.
func CheckPolicy(p *policy.Policy) error {
	return errors.Join(checkTenants(p), checkFolders(p))
}
