package main

import (
	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host/dryrun"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/doctor"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/internal/process"
)

func newDoctor() *cobra.Command {
	var f policyflag.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the isolation of each tenant on this machine",
		Long: `Start a real worker process for each tenant of the policy, and the process of each plugin, as hearth
serve would run them now as the same user. For each isolation layer of the operating system, print
whether it holds, how that was checked, and a remedy if it does not. Then list the faults that hearth
serve --check finds in scripts, plugins, keys, secrets, certificates, folders and the audit log. Notes
are probable mistakes, such as limits of tenants that exceed each other, this machine, or the host's
control group. The exit code is 1 if the host would reject a tenant or a file.`,
		Example: `  hearth doctor
  sudo hearth doctor --policy /etc/hearth/policy.hcl --json`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, from, err := f.Load()
			if err != nil {
				return err
			}
			exe, err := process.Self()
			if err != nil {
				return err
			}
			worker, err := workerCommand(noteTo(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			findings, err := doctor.Examine(p, worker, []string{exe, shimVerb})
			if err != nil {
				return err
			}
			cfg := dryrun.Config{Policy: p, PolicyFile: from, Worker: worker}
			for _, r := range dryrun.Check(cmd.Context(), cfg) {
				findings = append(findings, doctor.OfFile(r))
			}
			return doctor.Print(cmd.OutOrStdout(), findings, asJSON)
		},
	}
	f.Add(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}
