// Package admin has the commands for the operator of a running host: reload, history, rollback and tenant.
//
// They send requests to the admin socket in the state folder of the host's policy. The socket accepts the host's user
// and root only, so the commands need no key. A request is one HTTP exchange on a new connection, with a time limit
// and a limit of the response's size. Errors of the connection contain a remedy: no host answers, another user, no
// answer in time, or another version.
//
// [Socket] is exported for ls --workers.
package admin

import "github.com/spf13/cobra"

// Commands returns the commands.
func Commands() []*cobra.Command {
	return []*cobra.Command{newTenant(), newReload(), newHistory(), newRollback()}
}
