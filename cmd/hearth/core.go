package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// noCore keeps keys and secrets in memory out of core files. The limit is inherited by every
// process that this one starts. GOTRACEBACK=crash makes Go abort with a core, which some systems
// give to a program that heeds no limit; Go reads it before anything else runs and does not let
// a program lower it, so the program starts again without it.
func noCore() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("setting the limit of core files to 0: %w", err)
	}
	const variable = "GOTRACEBACK"
	switch os.Getenv(variable) { //nolint:forbidigo // to forget it
	case "", "none", "single", "all", "system":
		return nil
	}
	var env []string
	for _, one := range os.Environ() { //nolint:forbidigo // as above
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
