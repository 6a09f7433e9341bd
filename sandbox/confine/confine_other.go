//go:build !linux

package confine

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/hearthhost/hearth/sandbox/confine/layer"
)

// errSystem is the reason why no layer holds.
var errSystem = errors.New("hearth confines workers on Linux only, and this is " + runtime.GOOS)

func absent() []layer.Layer {
	var layers []layer.Layer
	for _, name := range layer.Names() {
		layers = append(layers, layer.Missing(name, "not tested on this system", "run the host on Linux", errSystem))
	}
	return layers
}

// Worker is a started worker process.
type Worker struct {
	Layers []layer.Layer // state of each layer
	cmd    *exec.Cmd
}

// Start starts cmd if spec allows every layer to be missing. Otherwise it returns a *layer.Error.
func Start(cmd *exec.Cmd, spec Spec) (*Worker, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := layer.Check(absent(), spec.AllowMissing); err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Worker{Layers: absent(), cmd: cmd}, nil
}

// Prepare fails: an unconfined worker does not benefit from an early start.
func Prepare(*exec.Cmd) (*Worker, error) { return nil, &layer.Error{Layers: absent()} }

// Confine cannot be reached, because Prepare fails.
func (w *Worker) Confine(Spec) error { return errSystem }

// End ends the process and waits for it.
func (w *Worker) End() {
	_ = w.cmd.Process.Kill()
	_ = w.Wait()
}

// Wait waits for the process to end, once.
func (w *Worker) Wait() error { return w.cmd.Wait() }

// Enter does nothing: Start has rejected all other Specs.
func Enter(func()) (Spec, error) { return Spec{}, nil }

// Probe reports that no layer holds.
func Probe([]string, Spec) ([]layer.Layer, error) { return absent(), nil }
