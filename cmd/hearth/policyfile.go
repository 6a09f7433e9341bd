package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// defaultPolicyFile is looked for in the current directory.
const defaultPolicyFile = "policy.hcl"

// policyFlags say under which policy a command works.
type policyFlags struct {
	policy string // the file; "": policy.hcl here if there is one, else the built-in policy
	dir    string // of the built-in policy
}

func (f *policyFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.policy, "policy", "", "policy file (default: ./policy.hcl if there is one, else the built-in policy)")
	fl.StringVar(&f.dir, "dir", ".", "folder of the built-in policy, which holds scripts/")
}

// addFile is add for a command to which the built-in policy has nothing to say.
func (f *policyFlags) addFile(cmd *cobra.Command) {
	f.dir = "."
	cmd.Flags().StringVar(&f.policy, "policy", "", "the host's policy file (default: ./policy.hcl)")
}

// load reads the policy and says where it came from.
func (f *policyFlags) load() (p *policy.Policy, from string, err error) {
	return f.loadBy(policyfile.Load)
}

// loadUntested is load for a policy whose tests may fail.
func (f *policyFlags) loadUntested() (p *policy.Policy, from string, err error) {
	return f.loadBy(policyfile.LoadUntested)
}

func (f *policyFlags) loadBy(load func(path string, hostUID int) (*policy.Policy, error)) (p *policy.Policy, from string, err error) {
	path, err := f.path()
	if err != nil {
		return nil, "", err
	}
	return f.read(path, load)
}

// loadChecked is load for a policy that a host must be able to serve under.
func (f *policyFlags) loadChecked() (p *policy.Policy, from string, err error) {
	path, err := f.path()
	if err != nil {
		return nil, "", err
	}
	if err := host.CheckPolicyFile(path); err != nil {
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

// path finds the policy file; "" means that the built-in policy holds.
func (f *policyFlags) path() (string, error) {
	if f.policy != "" {
		return f.policy, nil
	}
	switch _, err := os.Stat(defaultPolicyFile); {
	case err == nil:
		return defaultPolicyFile, nil
	case !errors.Is(err, fs.ErrNotExist):
		// It may be there: to go on with another policy would be a guess.
		return "", fmt.Errorf("looking for %s: %w", defaultPolicyFile, err)
	}
	return "", nil
}

// read reads what path has found.
func (f *policyFlags) read(path string, load func(path string, hostUID int) (*policy.Policy, error)) (p *policy.Policy, from string, err error) {
	if path == "" {
		p, err = policy.Default(f.dir, os.Getuid())
		if err != nil {
			return nil, "", fmt.Errorf("the built-in policy in %s: %w", f.dir, err)
		}
		return p, fmt.Sprintf("the built-in policy (no %s here)", defaultPolicyFile), nil
	}
	p, err = load(path, os.Getuid())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("there is no policy file %s: leave --policy out for the built-in policy", path)
	}
	return p, path, err
}
