package main

import (
	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/plugins/launch"
)

// shimVerb is the argument of the process that becomes a plugin.
const shimVerb = "plugin-shim"

func newShim() *cobra.Command {
	return &cobra.Command{
		Use:   shimVerb,
		Short: "Become a plugin (started by hearth serve)",
		Long: `The process that isolates itself and then executes a plugin. hearth serve starts it with the
plugin's executable; started by hand it fails.`,
		Example: "  hearth serve",
		Hidden:  true,
		Args:    cli.ExactArgs(),
		RunE:    func(*cobra.Command, []string) error { return cli.ExitCode(launch.Shim()) },
	}
}
