package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hearthhost/hearth/internal/cli/display"

	"github.com/spf13/cobra"
)

// Exit codes, see doc/cli.md.
const (
	exitOK     = 0
	ExitFailed = 1 // failure, or the host rejected the request
	exitUsage  = 2 // invalid command line; nothing was done
)

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef returns a [usageError].
func Usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// exitCode is an error that ends the program with this code and without a message.
type ExitCode int

func (c ExitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// run executes a command line and returns the exit code. It prints errors on the command's standard error.
func Run(ctx context.Context, root *cobra.Command, args []string) int {
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
		return int(silent)
	case errors.As(err, &usage):
		Complain(cmd.ErrOrStderr(), err)
		fmt.Fprintf(cmd.ErrOrStderr(), "see: %s --help\n", cmd.CommandPath())
		return exitUsage
	}
	Complain(cmd.ErrOrStderr(), err)
	return ExitFailed
}

// complain prints an error, with further lines indented.
func Complain(w io.Writer, err error) {
	fmt.Fprintln(w, "hearth: "+display.Indent(strings.TrimRight(Unshield(err.Error()), "\n")))
}

// exactArgs requires exactly the named arguments.
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

// atMostOne accepts one argument or none.
func AtMostOne(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return Usagef("unexpected argument %q; at most one %s", args[1], name)
		}
		return nil
	}
}
