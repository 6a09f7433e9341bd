package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// Help runs a command that only has subcommands.
func Help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// NoSuchCommand rejects an unknown command and suggests similar ones.
func NoSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := "hearth --help lists the commands"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return Usagef("unknown command %q: %s", args[0], hint)
}

// JSONFlag adds --json to a command that prints a listing.
func JSONFlag(cmd *cobra.Command, value *bool) {
	cmd.Flags().BoolVar(value, "json", false, "print JSON")
}
