// Package cli has the rules that all commands of hearth share: errors and exit codes, checks of arguments, and help.
//
// [Run] executes a command line. A command returns [Usagef] for an invalid command line, [ExitFailed] for a failure
// that it has printed, and any other error for the rest. Run prints these errors and returns the exit code. Negative
// numbers are arguments and not flags: Run marks them before cobra parses the command line, and [Unshield] removes the
// mark.
//
// Subpackages of this package have the commands of one concept each. This package depends on no command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli/display"
)

// Exit codes, see doc/cli.md.
const (
	exitOK     ExitCode = 0
	ExitFailed ExitCode = 1 // failure, or the host rejected the request
	exitUsage  ExitCode = 2 // invalid command line; nothing was done
)

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Usagef returns the error of an invalid command line. It ends the program with exit code 2.
func Usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// ExitCode is an error that ends the program with this code and without a message.
type ExitCode int

func (c ExitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// Run executes a command line and returns the exit code. It prints errors on the command's standard error. Its output
// passes through a [display.Writer].
func Run(ctx context.Context, root *cobra.Command, args []string) ExitCode {
	out, errOut := display.NewWriter(root.OutOrStdout()), display.NewWriter(root.ErrOrStderr())
	defer func() { _ = errors.Join(out.Close(), errOut.Close()) }() // an error here cannot be printed
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetArgs(shieldNegatives(root, args))
	cmd, err := root.ExecuteContextC(ctx)
	var silent ExitCode
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &silent):
		return silent
	case errors.As(err, &usage):
		Complain(cmd.ErrOrStderr(), err)
		fmt.Fprintf(cmd.ErrOrStderr(), "see: %s --help\n", cmd.CommandPath())
		return exitUsage
	}
	Complain(cmd.ErrOrStderr(), err)
	return ExitFailed
}

// Complain prints an error, with further lines indented.
func Complain(w io.Writer, err error) {
	fmt.Fprintln(w, "hearth: "+display.Indent(strings.TrimRight(Unshield(err.Error()), "\n")))
}

// ExactArgs requires exactly the named arguments.
func ExactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return Usagef("%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return Usagef("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// AtMostOne accepts one argument or none.
func AtMostOne(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return Usagef("unexpected argument %q; at most one %s", args[1], name)
		}
		return nil
	}
}
