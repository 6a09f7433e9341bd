package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/hearthhost/hearth/internal/safefile"
)

// ownProgram returns what workers are started from: this very program, even when another
// version has been put into its place meanwhile. Host and workers are of one version.
func ownProgram() (string, error) {
	if runtime.GOOS == "linux" {
		if _, err := os.Stat("/proc/self/exe"); err == nil {
			return "/proc/self/exe", nil
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program, which workers are started from: %w", err)
	}
	return exe, nil
}

// startedFrom returns the path that this program was started from, links and all: what lies
// there later is its next version. It is found when the process begins, before the
// environment is closed and before anything is replaced.
var startedFrom = func() string {
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	// How it was called is the starter's word, and counts if it is the same file.
	called, err := exec.LookPath(os.Args[0])
	if err != nil || privileged() {
		return exe
	}
	a, errA := os.Stat(called)
	b, errB := os.Stat(exe)
	called, errAbs := filepath.Abs(called)
	if err := errors.Join(errA, errB, errAbs); err != nil || !os.SameFile(a, b) {
		return exe
	}
	return called
}()

// trustProgram refuses to start a program that somebody else than root and this process's
// user could have put there.
func trustProgram(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("the program to start: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("%s is not an executable file", path)
	}
	if err := safefile.CheckFile(path, info); err != nil {
		return fmt.Errorf("the program to start: %w", err)
	}
	return nil
}
