package upgrade

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/hearthhost/hearth/internal/safefile"
)

// ProgramPath returns the path that this program was started from, with its symbolic links: a later file at this
// path is the next version. Call it before the environment is cleared and before the file can be replaced.
// trustArgs permits the use of os.Args[0], which the starting process has chosen.
func ProgramPath(trustArgs bool) string {
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	called, err := exec.LookPath(os.Args[0])
	if err != nil || !trustArgs {
		return exe
	}
	a, errA := os.Stat(called) //nolint:gosec // the path of the running program, used only if trustArgs
	b, errB := os.Stat(exe)
	called, errAbs := filepath.Abs(called)
	if err := errors.Join(errA, errB, errAbs); err != nil || !os.SameFile(a, b) {
		return exe
	}
	return called
}

// checkProgram returns an error for a program that is not executable, or that another user than root and this
// process's user can change or replace.
func checkProgram(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("checking the program to start: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("checking the program to start: %s is not an executable file", path)
	}
	if err := safefile.CheckFile(path, info); err != nil {
		return fmt.Errorf("checking the program to start: %w", err)
	}
	return nil
}
