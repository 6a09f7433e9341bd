package admin

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/refusal"
)

func newReload() *cobra.Command {
	var socket Socket
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make a running host read its files now",
		Long: `Make a running host read all its scripts, its plugins and its policy now, wait until the changes are
served, and list the rejected files with reasons. A host also reads changes automatically, soon after
they happen. This command is for file systems without change events, and for deployments that need the
result. It uses the admin socket, which accepts the host's user and root.

The exit code is 1 if a file is rejected. A folder that is no tenant of the policy, and a wrong
annotation of a served script, are listed as notes, which are no errors.`,
		Example: `  hearth reload
  hearth reload --json --policy /etc/hearth/policy.hcl`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var refused []fault.Refusal
			if err := socket.request(cmd.Context(), http.MethodPost, "/v1/reload", &refused); err != nil {
				return err
			}
			if asJSON {
				if err := display.JSON(cmd.OutOrStdout(), refused); err != nil {
					return err
				}
			} else if err := refusal.Print(cmd.OutOrStdout(), refused); err != nil {
				return err
			}
			if wrong := refusal.Faults(refused); wrong > 0 {
				return fmt.Errorf("%d rejected: the host does not serve the current files", wrong)
			}
			return nil
		},
	}
	socket.AddFlags(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}
