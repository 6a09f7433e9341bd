package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/hearthhost/hearth/internal/upgrade"
)

// workerProgram returns the path from which workers are started: this very program, even after another version
// has replaced its file. Host and workers always have the same version.
func workerProgram() (string, error) {
	if runtime.GOOS == "linux" {
		if _, err := os.Stat("/proc/self/exe"); err == nil {
			return "/proc/self/exe", nil
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program, from which workers are started: %w", err)
	}
	return exe, nil
}

// programPath is the path that hearth upgrade starts. It is read before the environment is cleared and before the
// program can be replaced.
var programPath = upgrade.ProgramPath(!privileged())
