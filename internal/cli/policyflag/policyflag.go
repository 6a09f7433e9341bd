// Package policyflag has the flags with which a command chooses its policy, and loads it.
//
// Without a flag the policy is the file policy.hcl in the current directory, or the built-in policy if that file does
// not exist. A file that may exist but cannot be examined is an error: the built-in policy must not replace it. Each
// load also returns the source of the policy for messages, which is the path of the file or a description of the
// built-in policy.
//
// [Flags.Load] requires that the policy's tests pass, [Flags.LoadUntested] does not, and [Flags.LoadChecked] also
// makes the checks of a starting host. The package reads policy files only; it opens no key, secret or script.
package policyflag

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/host/folder"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// DefaultFile is the policy file in the current directory.
const DefaultFile = "policy.hcl"

// loadFunc reads a policy file for a host with a user id.
type loadFunc func(path string, hostUID int) (*policy.Policy, error)

// Flags select the policy of a command.
type Flags struct {
	File string // file; "" for policy.hcl in the current directory, or the built-in policy without it
	Dir  string // folder of the built-in policy
}

// Add adds --policy and --dir to a command.
func (f *Flags) Add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.File, "policy", "", "policy file (default: ./policy.hcl if it exists, or the built-in policy)")
	fl.StringVar(&f.Dir, "dir", ".", "folder of the built-in policy, with scripts/")
}

// AddFile adds --policy to a command that cannot use the built-in policy.
func (f *Flags) AddFile(cmd *cobra.Command) {
	f.Dir = "."
	cmd.Flags().StringVar(&f.File, "policy", "", "the host's policy file (default: ./policy.hcl)")
}

// Load reads the policy and returns its source. The tests of the policy must pass.
func (f *Flags) Load() (p *policy.Policy, from string, err error) {
	return f.loadBy(policyfile.Load)
}

// LoadUntested reads the policy, whose tests may fail, and returns its source.
func (f *Flags) LoadUntested() (p *policy.Policy, from string, err error) {
	return f.loadBy(policyfile.LoadUntested)
}

func (f *Flags) loadBy(load loadFunc) (p *policy.Policy, from string, err error) {
	path, err := f.Path()
	if err != nil {
		return nil, "", err
	}
	return f.read(path, load)
}

// LoadChecked reads the policy, makes the checks of a starting host, and returns the source of the policy.
func (f *Flags) LoadChecked() (p *policy.Policy, from string, err error) {
	path, err := f.Path()
	if err != nil {
		return nil, "", err
	}
	if err := folder.CheckPolicyFile(path); err != nil {
		return nil, "", err
	}
	if p, from, err = f.LoadFrom(path); err != nil {
		return nil, "", err
	}
	if err := host.CheckPolicy(p); err != nil {
		return nil, "", fmt.Errorf("%s: %w", from, err)
	}
	return p, from, nil
}

// Path returns the policy file, "" for the built-in policy.
func (f *Flags) Path() (string, error) {
	if f.File != "" {
		return f.File, nil
	}
	switch _, err := os.Stat(DefaultFile); {
	case err == nil:
		return DefaultFile, nil
	case !errors.Is(err, fs.ErrNotExist):
		// The file may exist, so the built-in policy must not replace it.
		return "", fmt.Errorf("finding %s: %w", DefaultFile, err)
	}
	return "", nil
}

// LoadFrom reads the policy file that [Flags.Path] has returned, and returns its source.
func (f *Flags) LoadFrom(path string) (p *policy.Policy, from string, err error) {
	return f.read(path, policyfile.Load)
}

// read reads the policy file that [Flags.Path] has returned.
func (f *Flags) read(path string, load loadFunc) (p *policy.Policy, from string, err error) {
	if path == "" {
		p, err = policy.Default(f.Dir, os.Getuid())
		if err != nil {
			return nil, "", fmt.Errorf("the built-in policy in %s: %w", f.Dir, err)
		}
		return p, fmt.Sprintf("the built-in policy (no %s here)", DefaultFile), nil
	}
	p, err = load(path, os.Getuid())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("policy file %s not found; omit --policy for the built-in policy", path)
	}
	return p, path, err
}
