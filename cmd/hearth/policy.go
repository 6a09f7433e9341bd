package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/analysis"
)

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Check a policy file and ask it questions",
		Long: `Check a policy file, its tests included, ask who may what, compare two versions, and prove that
tenants are kept apart. Nothing here calls a host: the answers are those that a host would
give under this file.`,
		Example: `  hearth policy check
  hearth policy explain alice acme.counter.add
  hearth policy diff policy.hcl new.hcl`,
		Args: noSuchVerb,
		RunE: help,
	}
	cmd.AddCommand(newPolicyCheck(), newPolicyTest(), newPolicyExplain(), newPolicyDiff(), newPolicyProve())
	return cmd
}

func newPolicyCheck() *cobra.Command {
	var f policyFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a policy file and run its tests",
		Long: `Check a policy file and run its tests. Everything that is wrong is listed, with file, line and
column; the exit code is 1 then. So is what a host refuses to serve under: a policy file, or a folder that
it names, that others may write to or own. Patterns that no object of the scripts folder matches are
warned about: the object may be yet to come, or the pattern be wrong. So are limits that cannot hold
together, conditions that always hold, policies under which no call succeeds, principals that are root
or nobody, certificates that have expired or will soon, and authorities whose name constraints do not
bind the common names that principals go by. Keys, secrets, scripts and plugins are not read: hearth
serve --check does that too.`,
		Example: `  hearth policy check
  hearth policy check --policy /etc/hearth/policy.hcl`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, from, err := f.loadChecked()
			if err != nil {
				return err
			}
			warn(cmd.ErrOrStderr(), p)
			ids, err := host.ObjectIDs(p)
			if err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", err)
			} else if !p.AllTenants {
				for _, u := range analysis.Unmatched(p, ids) {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: no object matches %s\n", u)
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok, %s\n", from, plural(len(p.Tests), "test"))
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

// warn prints what a policy says that is valid and probably not meant.
func warn(w io.Writer, p *policy.Policy) {
	for _, text := range host.Advice(p, time.Now()) {
		fmt.Fprintf(w, "warning: %s\n", text)
	}
}

func newPolicyTest() *cobra.Command {
	var f policyFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Run the tests of a policy file and list them",
		Long: `Run the test blocks of a policy file and list what each came to. The exit code is 1 if one
fails. A file with a failing test is loaded by no host; here its other tests run all the same.`,
		Example: `  hearth policy test
  hearth policy test --policy new.hcl --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, from, err := f.loadUntested()
			if err != nil {
				return err
			}
			return printTests(cmd.OutOrStdout(), p.Tests, from, asJSON)
		},
	}
	f.add(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printTests(w io.Writer, tests []policy.TestResult, from string, asJSON bool) error {
	failed := 0
	for _, t := range tests {
		if !t.Passed() {
			failed++
		}
	}
	if asJSON {
		if tests == nil {
			tests = []policy.TestResult{}
		}
		if err := printJSON(w, tests); err != nil {
			return err
		}
	} else {
		for _, t := range tests {
			if t.Passed() {
				fmt.Fprintf(w, "ok    %s: %s\n", t.Where, t.Name)
				continue
			}
			fmt.Fprintf(w, "FAIL  %s: %s: %s calling %s is a %s, want %s: %s\n", t.Where, t.Name, t.Principal, t.Call, t.Got, t.Want, t.Reason)
		}
		fmt.Fprintf(w, "%s: %s, %d failed\n", from, plural(len(tests), "test"), failed)
	}
	if failed > 0 {
		return exitCode(exitFailed)
	}
	return nil
}

func newPolicyDiff() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show which decisions differ between two policy files",
		Long: `Show for whom, which object and which methods two policy files decide differently: the objects
of the scripts folder of NEW, and where a pattern matches none of them, the pattern; "*" are
all methods that no rule about the two names. The exit code is 0 if there is no difference
and 1 if there is. A file whose tests fail is compared too.`,
		Example: `  git show HEAD:policy.hcl > /tmp/old.hcl
  hearth policy diff /tmp/old.hcl policy.hcl`,
		Args: exactArgs("OLD", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var both [2]*policy.Policy
			for i, path := range args {
				f := policyFlags{policy: path}
				p, _, err := f.loadUntested()
				if err != nil {
					return err
				}
				both[i] = p
			}
			ids, err := host.ObjectIDs(both[1])
			if err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v; only patterns are compared\n", err)
			}
			return printChanges(cmd.OutOrStdout(), analysis.Diff(both[0], both[1], ids), asJSON)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printChanges(w io.Writer, changes []analysis.Change, asJSON bool) error {
	if asJSON {
		if changes == nil {
			changes = []analysis.Change{}
		}
		if err := printJSON(w, changes); err != nil {
			return err
		}
	} else {
		for _, c := range changes {
			fmt.Fprintf(w, "%s calling %s: %s\n", some(c.Principals), some(c.Objects), some(c.Methods))
			fmt.Fprintf(w, "  - %s\n  + %s\n", sayExplanation(c.Before), sayExplanation(c.After))
		}
		if len(changes) == 0 {
			fmt.Fprintln(w, "no decision differs")
		}
	}
	if len(changes) > 0 {
		return exitCode(exitFailed)
	}
	return nil
}

func newPolicyProve() *cobra.Command {
	var f policyFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Prove that no principal reaches another tenant but by a rule that says so",
		Long: `Ask about every declared principal, every object of the scripts folder, as a caller and as what
is called, and every method that rules tell apart, whether a principal can reach an object of
another tenant than its own but by a permit with crosses_tenants = true. Conditions count as
met, unless they forbid. The exit code is 1 if somebody can, with the rule by which. A file
that would let somebody does not load in the first place; this shows the same by another way.`,
		Example: `  hearth policy prove
  hearth policy prove --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, _, err := f.load()
			if err != nil {
				return err
			}
			ids, err := host.ObjectIDs(p)
			if err != nil {
				return err
			}
			return printProof(cmd.OutOrStdout(), analysis.Prove(p, ids), asJSON)
		},
	}
	f.add(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printProof(w io.Writer, proof analysis.Proof, asJSON bool) error {
	if asJSON {
		if err := printJSON(w, proof); err != nil {
			return err
		}
	} else {
		for _, c := range proof.Counter {
			fmt.Fprintf(w, "%s, of tenant %s, reaches %s.%s by %s\n", c.Principal, c.Tenant, c.Object, c.Method, c.Rule)
		}
		for _, r := range proof.Crossing {
			fmt.Fprintf(w, "crosses tenants, as it says: %s\n", r)
		}
		fmt.Fprintf(w, "%s, %s: ", plural(proof.Principals, "principal"), plural(proof.Objects, "object"))
		if proof.Counter == nil {
			fmt.Fprintln(w, "nobody reaches another tenant without a rule that says so")
		} else {
			fmt.Fprintf(w, "%s\n", plural(len(proof.Counter), "counter-example"))
		}
	}
	if proof.Counter != nil {
		return exitCode(exitFailed)
	}
	return nil
}
