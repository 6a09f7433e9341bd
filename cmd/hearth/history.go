package main

import (
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
)

func newHistory() *cobra.Command {
	var door admin
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history OBJECT",
		Short: "List the versions of an object",
		Long: `List the versions of a script's object that the host has kept since the object first changed, oldest
first, with which one serves and which one lies in its file. SINCE is when a version came into
service; "host start" marks one that served when the host started, and may be older. It asks at the
admin socket, which answers the user who runs the host, and root.`,
		Example: `  hearth history acme.counter
  hearth history acme.counter --json`,
		Args: exactArgs("OBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []host.Past
			if err := door.ask(cmd.Context(), http.MethodGet, "/v1/history?object="+url.QueryEscape(args[0]), &all); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "VERSION\tSINCE\tSTATE")
			for _, p := range all {
				state := ""
				switch {
				case p.Serving && p.InFile:
					state = "serving"
				case p.Serving:
					state = "serving, after a rollback or because the file is refused"
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
	door.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}
