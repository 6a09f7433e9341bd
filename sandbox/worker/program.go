package worker

import (
	"fmt"
	"os"
)

// BuildID identifies the build of a hearth with an embedded worker program. The linker sets it in both, and the program
// refuses to be the worker of another build. It is empty in other builds.
var BuildID string

// CheckArg is the second argument with which the program only compares its BuildID with its first argument.
const CheckArg = "check"

// ExitBuildID is the exit status of the program if its BuildID is not its first argument.
const ExitBuildID = 3

// Program is the main function of hearth-worker. It is [Main] for the host with the build id args[0].
func Program(args []string) int {
	const name = "hearth-worker"
	if len(args) == 0 || BuildID == "" || args[0] != BuildID {
		fmt.Fprintf(os.Stderr, "%s: the program has the build id %q, and is the worker of a hearth with the same one\n",
			name, BuildID)
		return ExitBuildID
	}
	if len(args) == 2 && args[1] == CheckArg {
		return 0
	}
	return Main(name)
}
