package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/process"
	"github.com/hearthhost/hearth/sandbox/worker"
	"github.com/hearthhost/hearth/sandbox/workerfile"
)

// workerVerb is the argument of a worker process.
const workerVerb = "worker"

func newWorker() *cobra.Command {
	return &cobra.Command{
		Use:   workerVerb,
		Short: "Run as the worker process of a tenant (started by hearth serve)",
		Long: `The worker process that runs a tenant's scripts. hearth serve starts it with a socket; started by
hand it fails.`,
		Example: "  hearth serve",
		Hidden:  true,
		Args:    cli.ExactArgs(),
		RunE: func(*cobra.Command, []string) error {
			if code := worker.Main("hearth worker"); code != 0 {
				return cli.ExitCode(code)
			}
			return nil
		},
	}
}

// workerCommand returns the command line of a worker process: the embedded program, or this one if the build has none.
// If the system does not execute the embedded program, warn is called with the reason, and this program is used.
func workerCommand(warn func(error)) ([]string, error) {
	argv, err := workerfile.Command()
	switch {
	case err == nil:
		return argv, nil
	case errors.Is(err, workerfile.ErrSystem):
		warn(err)
	case !errors.Is(err, workerfile.ErrNone):
		return nil, err
	}
	exe, err := process.Self()
	return []string{exe, workerVerb}, err
}

// noteTo returns a warn function for workerCommand that prints to w.
func noteTo(w io.Writer) func(error) {
	return func(err error) {
		fmt.Fprintf(w, "note: workers run this program instead of the smaller embedded one: %s\n",
			display.Inline(err.Error()))
	}
}
