package admin

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
)

func newRollback() *cobra.Command {
	var socket Socket
	var to string
	cmd := &cobra.Command{
		Use:   "rollback OBJECT",
		Short: "Serve an earlier version of an object again",
		Long: `Serve an earlier version of a script's object again, without a change of its file: the version
before the serving one, or the version --to. The rollback lasts until the object's file or a required
module changes, also over a restart of the host. The command uses the admin socket, which accepts the
host's user and root.`,
		Example: `  hearth rollback acme.counter
  hearth rollback acme.counter --to 1f2e`,
		Args: cli.ExactArgs("OBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var now struct {
				Version string `json:"version"`
			}
			what := "/v1/rollback?object=" + url.QueryEscape(args[0]) + "&to=" + url.QueryEscape(to)
			if err := socket.request(cmd.Context(), http.MethodPost, what, &now); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s serves version %s until its file changes\n", args[0], now.Version)
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "version, or the beginning of its name; hearth history lists versions")
	socket.AddFlags(cmd)
	return cmd
}
