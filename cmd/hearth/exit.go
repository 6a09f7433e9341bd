package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes, as doc/cli.md has them.
const (
	exitOK     = 0
	exitFailed = 1 // it was tried and failed, or the host said no
	exitUsage  = 2 // the command line makes no sense; nothing was tried
)

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef makes a [usageError].
func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// exitCode ends the program with this code and says nothing more.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// run executes one command line and returns the exit code. Whatever went wrong stands on
// the command's standard error by then.
func run(ctx context.Context, root *cobra.Command, args []string) int {
	out, errOut := &printable{w: root.OutOrStdout()}, &printable{w: root.ErrOrStderr()}
	defer func() { _ = errors.Join(out.Close(), errOut.Close()) }() // there is nowhere to report it
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetArgs(shieldNegatives(root, args))
	cmd, err := root.ExecuteContextC(ctx)
	var silent exitCode
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &silent):
		return int(silent)
	case errors.As(err, &usage):
		complain(cmd.ErrOrStderr(), err)
		fmt.Fprintf(cmd.ErrOrStderr(), "see: %s --help\n", cmd.CommandPath())
		return exitUsage
	}
	complain(cmd.ErrOrStderr(), err)
	return exitFailed
}

// complain writes an error, the lines after the first indented.
func complain(w io.Writer, err error) {
	fmt.Fprintln(w, "hearth: "+hanging(strings.TrimRight(unshield(err.Error()), "\n")))
}

// exactArgs wants exactly the arguments that are named.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return usagef("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// atMostOne wants one argument or none.
func atMostOne(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("unexpected argument %q: one %s at most", args[1], name)
		}
		return nil
	}
}
