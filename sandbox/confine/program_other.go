//go:build !linux

package confine

import (
	"context"
	"os"
	"os/exec"

	"github.com/hearthhost/hearth/sandbox/confine/layer"
)

// Group returns 0: no program can run.
func (*Program) Group() (gid uint32, other bool) { return 0, false }

// EffectiveSpec returns the Spec.
func (p *Program) EffectiveSpec() Spec { return p.Spec }

// Process is a started program.
type Process struct {
	Layers []layer.Layer // state of each layer
	Dir    *os.File      // the folder of its sockets; nil: Program.Dir
}

// StartProgram fails: this system has no isolation layers.
func StartProgram(context.Context, *exec.Cmd, Program) (*Process, error) {
	return nil, &layer.Error{Layers: absent()}
}

// Pid returns 0.
func (*Process) Pid() int { return 0 }

// Kill does nothing.
func (*Process) Kill() {}

// Wait does nothing.
func (*Process) Wait() error { return errSystem }

// ExecConfined fails.
func ExecConfined(string) error { return errSystem }

// ProbeProgram reports that no layer holds.
func ProbeProgram([]string, Program) ([]layer.Layer, error) { return absent(), nil }
