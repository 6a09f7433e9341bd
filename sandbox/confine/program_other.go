//go:build !linux

package confine

import (
	"context"
	"os"
	"os/exec"
)

// Group returns nothing: no program runs.
func (*Program) Group() (gid uint32, other bool) { return 0, false }

// Wanted returns the Spec as it is.
func (p *Program) Wanted() Spec { return p.Spec }

// Process is a started program.
type Process struct {
	Layers []Layer  // what became of each
	Dir    *os.File // the folder of its sockets; nil: Program.Dir
}

// StartProgram refuses: there is nothing here to confine a program with.
func StartProgram(context.Context, *exec.Cmd, Program) (*Process, error) {
	return nil, &Refused{Layers: absent()}
}

// Pid is 0.
func (*Process) Pid() int { return 0 }

// Kill does nothing.
func (*Process) Kill() {}

// Wait does nothing.
func (*Process) Wait() error { return errSystem }

// Become fails.
func Become(string) error { return errSystem }

// ProbeProgram reports for each layer that it does not hold here.
func ProbeProgram([]string, Program) ([]Layer, error) { return absent(), nil }
