package cli

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

var negative = regexp.MustCompile(`^-[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// shield marks a value that looks like a flag. Arguments of a process cannot contain this byte.
const shield = "\x00"

// shieldNegatives marks negative numbers, which would be parsed as flags, unless they are the value of a flag.
func shieldNegatives(root *cobra.Command, args []string) []string {
	cmd, _, _ := root.Find(args) // root for an unknown command
	out := make([]string, len(args))
	for i, a := range args {
		if negative.MatchString(a) && (i == 0 || !takesValue(cmd, args[i-1])) {
			a = shield + a
		}
		out[i] = a
	}
	return out
}

// takesValue reports whether an argument is a flag of a command whose value is the next argument.
func takesValue(cmd *cobra.Command, arg string) bool {
	name, long := strings.CutPrefix(arg, "--")
	f := cmd.Flag(name)
	if !long && len(arg) == 2 && arg[0] == '-' {
		f = cmd.Flags().ShorthandLookup(arg[1:])
	} else if !long {
		return false
	}
	return f != nil && f.NoOptDefVal == ""
}

// Unshield removes the marks of shieldNegatives, also from an error that quotes an argument.
func Unshield(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, shield, ""), `\x00-`, "-")
}
