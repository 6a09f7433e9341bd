package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

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
			if err := door.ask(cmd.Context(), http.MethodPost, "/v1/reload", &refused); err != nil {
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
		if _, err := fmt.Fprintln(out, refusalLine(r, name)); err != nil {
			return err
		}
	}
	return nil
}

// refusalLine is a refusal as an operator reads it, under a name. Names of files are their tenant's to choose, newlines
// and all.
func refusalLine(r host.Refusal, name string) string {
	line := r.Err
	if name != "" && !strings.HasPrefix(line, name+":") && !(filepath.IsAbs(name) && strings.Contains(line, name)) {
		line = name + ": " + strings.TrimPrefix(line, name+" ")
	}
	if r.Note {
		line = "note: " + line
	}
	return hanging(line)
}
