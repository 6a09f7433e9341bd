// Command hearth serves Lua objects to Pyro clients, and calls them.
//
// This package has main, the command tree in root.go, and the verbs that run or examine this program, each in a file
// with its name. The other verbs are in internal/cli, one package for each concept. The same binary is also the worker
// process of a tenant and the process that becomes a plugin: worker.go and shim.go.
package main

import (
	"context"
	"os"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/process"
	"github.com/hearthhost/hearth/internal/upgrade"
	"github.com/hearthhost/hearth/sandbox/worker"
)

// Set by the build: -ldflags "-X main.version=v1.2.3 -X main.commit=0123abc". If they are empty, the build information
// of the Go tool is used.
var (
	version string
	commit  string
)

// programPath is the path that hearth upgrade starts. It is read before the environment is cleared and before the
// program can be replaced.
var programPath = upgrade.ProgramPath(!process.Privileged())

func main() {
	if len(os.Args) == 2 && os.Args[1] == workerVerb { // a call waits for it, so skip the other commands
		os.Exit(worker.Main("hearth worker"))
	}
	if err := process.DisableCore(); err != nil {
		cli.Complain(os.Stderr, err)
		os.Exit(int(cli.ExitFailed))
	}
	os.Exit(int(cli.Run(context.Background(), newRoot(), os.Args[1:])))
}
