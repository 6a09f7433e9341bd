// Package object has the commands that call the objects of a host: call, ls, describe and ping.
//
// Each command connects to a host as a client, with the flags of [remote.Remote], and makes its calls in the name of
// the user: it shows only objects and members that the policy permits. Shells complete object ids and methods by the
// same calls. Text and names from the host are not trusted: output escapes them, and a completion offers only valid
// names, because a shell inserts a completion unchanged into the command line.
//
// ls --workers is the exception: it sends a request to the admin socket of a host on this machine.
package object

import (
	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli/remote"
)

// caller runs commands on a host.
type caller struct {
	*remote.Remote
}

// Commands returns the commands.
func Commands(r *remote.Remote) []*cobra.Command {
	c := caller{r}
	return []*cobra.Command{newCall(c), newLs(c), newDescribe(c), newPing(c)}
}
