// Command hearth serves Lua objects to Pyro clients, and calls them.
//
// Each verb stands in a file of its own name. What they share: root.go ties them
// together, exit.go says how they end, policyfile.go finds the policy, remote.go reaches a
// host as its callers do and admin.go as its operator, argument.go reads values from the
// command line, render.go writes them and words.go tells numbers.
package main

import (
	"context"
	"os"

	"github.com/hearthhost/hearth/sandbox/worker"
)

// Set by the build: -ldflags "-X main.version=v1.2.3 -X main.commit=0123abc". Empty ones
// come from what the Go tool recorded in the binary.
var (
	version string
	commit  string
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == workerVerb { // a tenant waits for it: no time for the rest
		os.Exit(worker.Main())
	}
	if err := noCore(); err != nil {
		complain(os.Stderr, err)
		os.Exit(exitFailed)
	}
	os.Exit(run(context.Background(), newRoot(), os.Args[1:]))
}
