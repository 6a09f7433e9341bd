package policyfile

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile/account"
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
	p, failed, err = parse(path, src, base, hostUID, account.Lookup)
	if err != nil {
		return nil, nil, err
	}
	p.Sum = sha256.Sum256(src)
	return p, failed, nil
}
