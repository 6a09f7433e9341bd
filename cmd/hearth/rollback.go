package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newRollback() *cobra.Command {
	var door admin
	var to string
	cmd := &cobra.Command{
		Use:   "rollback OBJECT",
		Short: "Put an earlier version of an object back into service",
		Long: `Put an earlier version of a script's object back into service, without touching its file: the one
before the one that serves, or the one that --to names. It holds until the object's file, or a
module that it requires, changes, and over a restart of the host. It asks at the admin socket,
which answers the user who runs the host, and root.`,
		Example: `  hearth rollback acme.counter
  hearth rollback acme.counter --to 1f2e`,
		Args: exactArgs("OBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var now struct {
				Version string `json:"version"`
			}
			what := "/v1/rollback?object=" + url.QueryEscape(args[0]) + "&to=" + url.QueryEscape(to)
			if err := door.ask(cmd.Context(), http.MethodPost, what, &now); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s serves version %s until its file changes\n", args[0], now.Version)
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "version to go back to, or how its name begins; hearth history lists them")
	door.flags(cmd)
	return cmd
}
