package main

import (
	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/plugins/launch"
)

// shimVerb is the argument with which the host starts its own binary to become a plugin.
const shimVerb = "plugin-shim"

func newShim() *cobra.Command {
	return &cobra.Command{
		Use:   shimVerb,
		Short: "Become a plugin (started by hearth serve)",
		Long: `The process that becomes a plugin once everything that it is not to have is taken away.
hearth serve starts it with the plugin's executable; started by hand it has none and ends.`,
		Example: "  hearth serve",
		Hidden:  true,
		Args:    exactArgs(),
		RunE:    func(*cobra.Command, []string) error { return exitCode(launch.Shim()) },
	}
}
