package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/internal/upgrade"
)

func newUpgrade() *cobra.Command {
	var f policyflag.Flags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Replace the running host by a new process",
		Long: `Signal the host that runs with the policy's state folder to replace itself: after a new version
was installed, or to apply a change of the policy that a running host cannot apply. The host
starts the program that now has the path it was started from, with the same arguments.

No call fails. The new process takes over the listening sockets and the open connections.
Connections with a session or an item stream stay in the old process, which also relays TLS and
HMAC channels (hearth serve --drain limits the time). If the new process does not become ready,
the old one still serves, and this command prints the reason and exits with 1.

The state of objects does not move, except hearth.store: a "single" instance starts again in
the new process.`,
		Example: `  hearth upgrade
  sudo hearth upgrade --policy /etc/hearth/policy.hcl`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if upgrade.Supported != nil {
				return upgrade.Supported
			}
			p, _, err := f.LoadUntested() // the new process runs the policy's tests
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			before, after, err := upgrade.Request(ctx, p.State)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "upgraded: process %d (%s) serves, process %d (%s) drains its connections\n",
				after.PID, after.Version, before.PID, before.Version)
			return nil
		},
	}
	f.Add(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Minute,
		"time limit of the wait for the result; the upgrade itself continues")
	return cmd
}
