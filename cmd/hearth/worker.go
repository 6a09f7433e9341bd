package main

import (
	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/sandbox/worker"
)

// workerVerb is the argument with which the host starts its own binary as a worker.
const workerVerb = "worker"

func newWorker() *cobra.Command {
	return &cobra.Command{
		Use:   workerVerb,
		Short: "Run as the worker process of a tenant (started by hearth serve)",
		Long: `The worker process in which a tenant's scripts run. hearth serve starts it with the
socket it works on; started by hand it has none and ends.`,
		Example: "  hearth serve",
		Hidden:  true,
		Args:    exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			if code := worker.Main(); code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
}
