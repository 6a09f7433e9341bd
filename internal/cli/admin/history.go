package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host/history"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
)

func newHistory() *cobra.Command {
	var socket Socket
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history OBJECT",
		Short: "List the versions of an object",
		Long: `List the versions of a script's object that the host has kept since the object first changed, oldest
first. STATE marks the serving version and the version in the file. SINCE is the time when a version
began to serve; "host start" marks a version that served when the host started and may be older. The
command uses the admin socket, which accepts the host's user and root.`,
		Example: `  hearth history acme.counter
  hearth history acme.counter --json`,
		Args: cli.ExactArgs("OBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []history.VersionInfo
			path := "/v1/history?object=" + url.QueryEscape(args[0])
			if err := socket.request(cmd.Context(), http.MethodGet, path, &all); err != nil {
				return err
			}
			if asJSON {
				return display.JSON(cmd.OutOrStdout(), all)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "VERSION\tSINCE\tSTATE")
			for _, p := range all {
				state := ""
				switch {
				case p.Serving && p.InFile:
					state = "serving"
				case p.Serving:
					state = "serving, after a rollback or because the file is rejected"
				case p.InFile:
					state = "in the file"
				}
				since := p.Taken.Local().Format(time.DateTime)
				if p.AtStart {
					since += " (host start)"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", p.Version, since, state)
			}
			return w.Flush()
		},
	}
	socket.AddFlags(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}
