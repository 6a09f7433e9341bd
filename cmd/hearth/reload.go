package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
)

func newReload() *cobra.Command {
	var socket admin
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make a running host read its files now",
		Long: `Make a running host read all its scripts, its plugins and its policy now, wait until the changes are
served, and list the rejected files with reasons. A host also reads changes automatically, soon after
they happen. This command is for file systems without change events, and for deployments that need the
result. It uses the admin socket, which accepts the host's user and root.

The exit code is 1 if a file is rejected. A folder that is no tenant of the policy is listed as a note,
which is not an error.`,
		Example: `  hearth reload
  hearth reload --json --policy /etc/hearth/policy.hcl`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var refused []host.Refusal
			if err := socket.request(cmd.Context(), http.MethodPost, "/v1/reload", &refused); err != nil {
				return err
			}
			if asJSON {
				if err := display.JSON(cmd.OutOrStdout(), refused); err != nil {
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
				return fmt.Errorf("%d rejected: the host does not serve the current files", wrong)
			}
			return nil
		},
	}
	socket.flags(cmd)
	cli.JSONFlag(cmd, &asJSON)
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

// refusalLine returns the line for a rejected file. Tenants choose names of files, which may contain newlines.
func refusalLine(r host.Refusal, name string) string {
	line := r.Err
	if name != "" && !strings.HasPrefix(line, name+":") && !(filepath.IsAbs(name) && strings.Contains(line, name)) {
		line = name + ": " + strings.TrimPrefix(line, name+" ")
	}
	if r.Note {
		line = "note: " + line
	}
	return display.Indent(line)
}
