package process

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// DisableCore prevents core files, which would contain keys and secrets. Child processes inherit the limit.
// GOTRACEBACK=crash makes Go abort with a core, which some systems pipe to a program that ignores the limit. Go reads
// the variable before main and a program cannot lower it, so this program starts again without it.
func DisableCore() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("setting the limit of core files to 0: %w", err)
	}
	const variable = "GOTRACEBACK"
	switch os.Getenv(variable) { //nolint:forbidigo // it is removed below
	case "", "none", "single", "all", "system":
		return nil
	}
	var env []string
	for _, one := range os.Environ() { //nolint:forbidigo // passed on without the variable
		if !strings.HasPrefix(one, variable+"=") {
			env = append(env, one)
		}
	}
	exe, err := os.Executable()
	if err == nil {
		err = unix.Exec(exe, os.Args, env)
	}
	return fmt.Errorf("starting again without %s: %w; unset it", variable, err)
}
