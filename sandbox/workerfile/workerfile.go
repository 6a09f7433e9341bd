// Package workerfile is the program of the worker processes, cmd/hearth-worker, inside the host's binary.
//
// The build compiles hearth-worker first, and then embeds it into hearth with the build tag embedworker. [Command]
// copies it to a sealed file in memory, from which the host starts its workers. A hearth of another build has no
// embedded program and starts itself as a worker. It does the same on a system that does not execute files in memory.
package workerfile

import "errors"

var (
	// ErrNone is the error of a build without an embedded program.
	ErrNone = errors.New("this build has no embedded worker program")
	// ErrSystem is the error of a system that does not execute files in memory.
	ErrSystem = errors.New("the system does not execute the worker program from memory")
)

// Embedded reports whether the build has an embedded program.
func Embedded() bool { return image != "" }
