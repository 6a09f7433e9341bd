// Package policy has the commands that examine policy files: hearth policy check, test, explain, diff and prove.
//
// They need no running host. Package policy decides, package policy/analysis explains, compares and proves; this
// package parses flags and prints the answers. Objects of the scripts and plugins folders extend an answer: without
// them only the patterns of the policy are listed. The exit code is 1 if a check, test or proof fails, or if two files
// decide differently.
package policy

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host/advice"
	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/analysis"
)

// Command returns hearth policy with its subcommands.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Check, test, explain and compare policy files",
		Long: `Check a policy file with its tests, explain its decisions, compare two files, and prove that the
tenants are isolated. The commands need no running host: they print the decisions that a host would
make under this file.`,
		Example: `  hearth policy check
  hearth policy explain alice acme.counter.add
  hearth policy diff policy.hcl new.hcl`,
		Args: cli.NoSuchCommand,
		RunE: cli.Help,
	}
	cmd.AddCommand(newPolicyCheck(), newPolicyTest(), newPolicyExplain(), newPolicyDiff(), newPolicyProve())
	return cmd
}

func newPolicyCheck() *cobra.Command {
	var f policyflag.Flags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a policy file and run its tests",
		Long: `Check a policy file and run its tests. All errors are listed with file, line and column; the exit
code is 1 then. Errors include the conditions under which a host rejects the file: the file or a
folder that it names can be changed by other users.

Warnings are probable mistakes: patterns that match no object of the scripts folder (the object may
be added later), limits that exceed each other, conditions that are always true, policies without a
permitted call, principals that are uid 0 or 65534, certificates that have expired or will soon, and
authorities whose name constraints do not limit the common names of principals. Keys, secrets,
scripts and plugins are not read; hearth serve --check reads them too.`,
		Example: `  hearth policy check
  hearth policy check --policy /etc/hearth/policy.hcl`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, from, err := f.LoadChecked()
			if err != nil {
				return err
			}
			warn(cmd.ErrOrStderr(), p)
			ids, err := catalog.ObjectIDs(p)
			if err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", err)
			} else if !p.AllTenants {
				for _, u := range analysis.Unmatched(p, ids) {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: no object matches %s\n", u)
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok, %s\n", from, display.Plural(len(p.Tests), "test"))
			return nil
		},
	}
	f.Add(cmd)
	return cmd
}

// warn prints the warnings of a policy: valid settings that are probably mistakes.
func warn(w io.Writer, p *policy.Policy) {
	for _, text := range advice.Policy(p, time.Now()) {
		fmt.Fprintf(w, "warning: %s\n", text)
	}
}

func newPolicyTest() *cobra.Command {
	var f policyflag.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Run the tests of a policy file and list them",
		Long: `Run the test blocks of a policy file and list the results. The exit code is 1 if a test fails. No
host loads a file with a failing test; this command still runs all its tests.`,
		Example: `  hearth policy test
  hearth policy test --policy new.hcl --json`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, from, err := f.LoadUntested()
			if err != nil {
				return err
			}
			return printTests(cmd.OutOrStdout(), p.Tests, from, asJSON)
		},
	}
	f.Add(cmd)
	cli.JSONFlag(cmd, &asJSON)
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
		if err := display.JSON(w, tests); err != nil {
			return err
		}
	} else {
		for _, t := range tests {
			if t.Passed() {
				fmt.Fprintf(w, "ok    %s: %s\n", t.Where, t.Name)
				continue
			}
			fmt.Fprintf(w, "FAIL  %s: %s: %s calling %s: %s instead of %s: %s\n",
				t.Where, t.Name, t.Principal, t.Call, t.Got, t.Want, t.Reason)
		}
		fmt.Fprintf(w, "%s: %s, %d failed\n", from, display.Plural(len(tests), "test"), failed)
	}
	if failed > 0 {
		return cli.ExitFailed
	}
	return nil
}

func newPolicyDiff() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show which decisions differ between two policy files",
		Long: `Show the principals, objects and methods about which two policy files decide differently: objects
of the scripts folder of NEW, and a pattern that matches none of them as the pattern. "*" are all
methods that no rule of the two files names. The exit code is 0 without a difference and 1 with one.
Files whose tests fail are compared too. Differences of egress blocks are listed by their terms.`,
		Example: `  git show HEAD:policy.hcl > /tmp/old.hcl
  hearth policy diff /tmp/old.hcl policy.hcl`,
		Args: cli.ExactArgs("OLD", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var both [2]*policy.Policy
			for i, path := range args {
				f := policyflag.Flags{File: path}
				p, _, err := f.LoadUntested()
				if err != nil {
					return err
				}
				both[i] = p
			}
			ids, err := catalog.ObjectIDs(both[1])
			if err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v; only patterns are compared\n", err)
			}
			calls, egress := allChanges(both, ids)
			return printChanges(cmd.OutOrStdout(), calls, egress, asJSON)
		},
	}
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

func printChanges(w io.Writer, changes []analysis.Change, egress []analysis.EgressChange, asJSON bool) error {
	if asJSON {
		all := []any{}
		for _, c := range changes {
			all = append(all, c)
		}
		for _, c := range egress {
			all = append(all, c)
		}
		if err := display.JSON(w, all); err != nil {
			return err
		}
	} else {
		for _, c := range changes {
			fmt.Fprintf(w, "%s calling %s: %s\n",
				display.List(c.Principals), display.List(c.Objects), display.List(c.Methods))
			fmt.Fprintf(w, "  - %s\n  + %s\n", explanationLine(c.Before), explanationLine(c.After))
		}
		printEgressChanges(w, egress)
		if len(changes)+len(egress) == 0 {
			fmt.Fprintln(w, "no decision differs")
		}
	}
	if len(changes)+len(egress) > 0 {
		return cli.ExitFailed
	}
	return nil
}

func newPolicyProve() *cobra.Command {
	var f policyflag.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Prove that only rules with crosses_tenants permit calls to another tenant",
		Long: `Decide for every declared principal, every object of the scripts folder, as a caller and as a
target, and every method that rules distinguish, whether the principal can call an object of another
tenant without a permit with crosses_tenants = true. Conditions count as true, except in forbid
rules. The exit code is 1 if a principal can, with the rule. No host loads such a file; this command
proves the same in another way.

It also decides for every object and every egress block whether an object of another tenant can use
or read a credential, and lists the secrets that no object can read.`,
		Example: `  hearth policy prove
  hearth policy prove --json`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, _, err := f.Load()
			if err != nil {
				return err
			}
			ids, err := catalog.ObjectIDs(p)
			if err != nil {
				return err
			}
			return printProof(cmd.OutOrStdout(), proved{analysis.Prove(p, ids), analysis.ProveEgress(p, ids)}, asJSON)
		},
	}
	f.Add(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

func printProof(w io.Writer, proof proved, asJSON bool) error {
	if asJSON {
		if err := display.JSON(w, proof); err != nil {
			return err
		}
	} else {
		for _, c := range proof.Counter {
			fmt.Fprintf(w, "%s, of tenant %s, reaches %s.%s by %s\n", c.Principal, c.Tenant, c.Object, c.Method, c.Rule)
		}
		for _, r := range proof.Crossing {
			fmt.Fprintf(w, "crosses tenants, as declared: %s\n", r)
		}
		fmt.Fprintf(w, "%s, %s: ",
			display.Plural(proof.Principals, "principal"), display.Plural(proof.Objects, "object"))
		if proof.Counter == nil {
			fmt.Fprintln(w, "no principal reaches another tenant without a rule with crosses_tenants")
		} else {
			fmt.Fprintf(w, "%s\n", display.Plural(len(proof.Counter), "counter-example"))
		}
		printEgressProof(w, proof.Egress)
	}
	if proof.Counter != nil || proof.Egress.Counter != nil {
		return cli.ExitFailed
	}
	return nil
}
