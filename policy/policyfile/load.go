package policyfile

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/problem"
)

// maxFileBytes bounds a policy file. The memory and stack of the parser grow with its length.
const maxFileBytes = 4 << 20

// Load reads a policy file. hostUID is the OS user of the host, which host_user = true stands for. The error is a
// [problem.List] if the file could be read, and otherwise wraps the error of the file system. A file with a failing
// test does not load.
func Load(path string, hostUID int) (*policy.Policy, error) {
	p, failed, err := load(path, hostUID)
	if err == nil && failed != nil {
		return nil, failed
	}
	return p, err
}

// LoadUntested is Load for a file whose tests may fail. Do not serve the policy.
func LoadUntested(path string, hostUID int) (*policy.Policy, error) {
	p, _, err := load(path, hostUID)
	return p, err
}

// load returns the policy of a file, and its failing tests.
func load(path string, hostUID int) (p *policy.Policy, failed problem.List, err error) {
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, nil, fmt.Errorf("find folder of policy: %w", err)
	}
	f, err := os.Open(path) //nolint:gosec // the operator chose the path
	if err != nil {
		return nil, nil, fmt.Errorf("read policy: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read policy: %w", err)
	}
	p, failed, err = parse(path, src, base, hostUID, account)
	if err != nil {
		return nil, nil, err
	}
	p.Sum = sha256.Sum256(src)
	return p, failed, nil
}

// errNoAccount reports that the system does not have the account.
var errNoAccount = errors.New("account not found")

// account returns the user id of an account.
func account(name string) (uint32, error) {
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return 0, errNoAccount
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("user id %q is not a number", u.Uid)
	}
	uid := uint32(n)
	// If the uid of this process has no account, os/user without cgo returns an account named $USER for it. The
	// environment must not decide about identities.
	if runtime.GOOS == "linux" && int(uid) == os.Getuid() && !listed("/etc/passwd", name, u.Uid) {
		return 0, errors.New("account may come from $USER: write host_user = true or uid = <number>")
	}
	return uid, nil
}

// listed reports whether a file in the format of passwd(5) has this uid for an account.
func listed(passwd, name, uid string) bool {
	f, err := os.Open(passwd) //nolint:gosec // constant path
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if part := strings.Split(lines.Text(), ":"); len(part) >= 3 && part[0] == name {
			return part[2] == uid
		}
	}
	return false
}
