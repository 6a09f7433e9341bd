package main

import (
	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/sandbox/worker"
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
			if code := worker.Main(); code != 0 {
				return cli.ExitCode(code)
			}
			return nil
		},
	}
}
