package main

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

// defaultPolicyFile is the policy file in the current directory.
const defaultPolicyFile = "policy.hcl"

// loadFunc reads a policy file for a host with a user id.
type loadFunc func(path string, hostUID int) (*policy.Policy, error)

// policyFlags select the policy of a command.
type policyFlags struct {
	policy string // file; "" for policy.hcl in the current directory, or the built-in policy without it
	dir    string // folder of the built-in policy
}

func (f *policyFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.policy, "policy", "", "policy file (default: ./policy.hcl if it exists, or the built-in policy)")
	fl.StringVar(&f.dir, "dir", ".", "folder of the built-in policy, with scripts/")
}

// addFile is add for a command that the built-in policy does not concern.
func (f *policyFlags) addFile(cmd *cobra.Command) {
	f.dir = "."
	cmd.Flags().StringVar(&f.policy, "policy", "", "the host's policy file (default: ./policy.hcl)")
}

// load reads the policy and returns its source.
func (f *policyFlags) load() (p *policy.Policy, from string, err error) {
	return f.loadBy(policyfile.Load)
}

// loadUntested is load for a policy whose tests may fail.
func (f *policyFlags) loadUntested() (p *policy.Policy, from string, err error) {
	return f.loadBy(policyfile.LoadUntested)
}

func (f *policyFlags) loadBy(load loadFunc) (p *policy.Policy, from string, err error) {
	path, err := f.path()
	if err != nil {
		return nil, "", err
	}
	return f.read(path, load)
}

// loadChecked is load, with the checks of a starting host.
func (f *policyFlags) loadChecked() (p *policy.Policy, from string, err error) {
	path, err := f.path()
	if err != nil {
		return nil, "", err
	}
	if err := folder.CheckPolicyFile(path); err != nil {
		return nil, "", err
	}
	if p, from, err = f.read(path, policyfile.Load); err != nil {
		return nil, "", err
	}
	if err := host.CheckPolicy(p); err != nil {
		return nil, "", fmt.Errorf("%s: %w", from, err)
	}
	return p, from, nil
}

// path returns the policy file, "" for the built-in policy.
func (f *policyFlags) path() (string, error) {
	if f.policy != "" {
		return f.policy, nil
	}
	switch _, err := os.Stat(defaultPolicyFile); {
	case err == nil:
		return defaultPolicyFile, nil
	case !errors.Is(err, fs.ErrNotExist):
		// The file may exist, so the built-in policy must not replace it.
		return "", fmt.Errorf("finding %s: %w", defaultPolicyFile, err)
	}
	return "", nil
}

// read reads the policy file that path has returned.
func (f *policyFlags) read(path string, load loadFunc) (p *policy.Policy, from string, err error) {
	if path == "" {
		p, err = policy.Default(f.dir, os.Getuid())
		if err != nil {
			return nil, "", fmt.Errorf("the built-in policy in %s: %w", f.dir, err)
		}
		return p, fmt.Sprintf("the built-in policy (no %s here)", defaultPolicyFile), nil
	}
	p, err = load(path, os.Getuid())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("policy file %s not found; omit --policy for the built-in policy", path)
	}
	return p, path, err
}
