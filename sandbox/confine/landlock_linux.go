package confine

import (
	"errors"
	"fmt"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// What landlock_create_ruleset answers without a ruleset.
const (
	askVersion = 1 << 0
	askErrata  = 1 << 1
)

// scopedSignals is the erratum without which a thread that is confined by itself may not
// signal its own process, as the Go runtime does all the time.
const scopedSignals = 1 << (2 - 1)

// forbidFiles denies every access to files and every other thing that the kernel's
// Landlock knows of. It does not take away what is open: the socket and the standard
// descriptors.
func forbidFiles() Layer { return restrictFiles("a Landlock domain without any rule") }

// restrictFiles is forbidFiles but for what rules allow, which is never the root.
func restrictFiles(how string, rules ...landlock.Rule) Layer {
	const remedy = "use a kernel from 5.13 with landlock among the security modules of its command line (lsm=)"
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, askVersion)
	if errno != 0 {
		return missing(Landlock, how, remedy, errno)
	}
	if abi < 1 {
		return missing(Landlock, how, remedy, errors.New("the kernel has no Landlock"))
	}
	cfg := landlock.V11
	scoped := abi >= 6
	if errata, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, askErrata); scoped && abi < 8 && (errno != 0 || errata&scopedSignals == 0) {
		scoped = false
	}
	if !scoped {
		cfg.Scoped = 0
	}
	if err := cfg.BestEffort().Restrict(rules...); err != nil {
		return missing(Landlock, how, remedy, err)
	}
	if fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		_ = unix.Close(fd)
		return missing(Landlock, how, remedy, errors.New("a directory could be opened afterwards"))
	}
	covers := "files"
	if abi >= 4 {
		covers += ", TCP"
	}
	if abi >= 10 {
		covers += ", UDP"
	}
	if scoped {
		covers += ", signals and abstract sockets"
	}
	return holds(Landlock, fmt.Sprintf("%s (ABI %d: %s); opening / was refused", how, abi, covers))
}
