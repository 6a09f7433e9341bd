package process

import (
	"fmt"
	"os"
	"runtime"
)

// Self returns the path from which this program is started again: this very program, even after another version has
// replaced its file. A host starts its workers from it, so host and workers always have the same version.
func Self() (string, error) {
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
