package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
)

func newReload() *cobra.Command {
	var door admin
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have a running host look at its files now",
		Long: `Have a running host look at all its scripts, plugins and its policy now, wait until what has changed
is served, and list what is refused and why. The host does this by itself, soon after a change:
this is for file systems that tell of none, and for deployments that want to know. It asks at the
admin socket, which answers the user who runs the host, and root.

The exit status is 1 if anything is refused. A folder that is no tenant of the policy is told as a note,
and is no mistake.`,
		Example: `  hearth reload
  hearth reload --json --policy /etc/hearth/policy.hcl`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var refused []host.Refusal
			if err := door.ask(cmd.Context(), http.MethodPost, "/v1/reload", nil, &refused); err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), refused); err != nil {
					return err
				}
			} else if err := printRefusals(cmd.OutOrStdout(), refused); err != nil {
				return err
			}
			wrong := 0
			for _, r := range refused {
				if !r.Note {
					wrong++
				}
			}
			if wrong > 0 {
				return fmt.Errorf("not everything is served as it lies there: %d refused", wrong)
			}
			return nil
		},
	}
	door.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printRefusals(out io.Writer, refused []host.Refusal) error {
	for _, r := range refused {
		name := string(r.ID)
		if name == "" {
			name = r.Path
		}
		if r.Note {
			name = "note: " + name
		}
		// Names of files are their tenant's to choose, newlines and all.
		line := strings.ReplaceAll(foreign(name+": "+strings.TrimPrefix(r.Err, name+" ")), "\n", "\n  ")
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

func newHistory() *cobra.Command {
	var door admin
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history OBJECT",
		Short: "List the versions of an object",
		Long: `List the versions of a script's object that the host has kept since the object first changed, oldest
first, with which one serves and which one lies in its file. It asks at the admin socket, which
answers the user who runs the host, and root.`,
		Example: `  hearth history acme.counter
  hearth history acme.counter --json`,
		Args: exactArgs("OBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []host.Past
			if err := door.ask(cmd.Context(), http.MethodGet, "/v1/history?object="+url.QueryEscape(args[0]), nil, &all); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "VERSION\tTAKEN\tSTATE")
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
				fmt.Fprintf(w, "%s\t%s\t%s\n", p.Version, p.Taken.Local().Format(time.DateTime), state)
			}
			return w.Flush()
		},
	}
	door.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

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
			version, err := door.rollback(cmd.Context(), args[0], to)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s serves version %s until its file changes\n", args[0], version)
			return err
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "version to go back to, or how its name begins; hearth history lists them")
	door.flags(cmd)
	return cmd
}

func (a *admin) rollback(ctx context.Context, id, to string) (version string, err error) {
	var said struct {
		Version string `json:"version"`
	}
	err = a.ask(ctx, http.MethodPost, "/v1/rollback?object="+url.QueryEscape(id)+"&to="+url.QueryEscape(to), nil, &said)
	return said.Version, err
}
