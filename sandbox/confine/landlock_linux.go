package confine

import (
	"errors"
	"fmt"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/sandbox/confine/rootfs"
)

// Flags of landlock_create_ruleset that query the kernel instead of making a ruleset.
const (
	askVersion = 1 << 0
	askErrata  = 1 << 1
)

// scopedSignals is the erratum without which a thread with a separate domain cannot signal its own process. The Go
// runtime does that permanently.
const scopedSignals = 1 << (2 - 1)

// forbidFiles denies all access to files and to all other objects that the kernel's Landlock supports. Open descriptors
// remain usable: the socket and the standard ones.
func forbidFiles() Layer { return restrictFiles("a Landlock domain without any rule") }

// restrictFiles is forbidFiles with exceptions. The rules never allow the root.
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
	if errata, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, askErrata); scoped && abi < 8 &&
		(errno != 0 || errata&scopedSignals == 0) {
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

// Landlock rights of a program.
const (
	mayRead  = ll.AccessFSReadFile
	mayList  = ll.AccessFSReadDir
	mayRun   = ll.AccessFSExecute
	mayWrite = ll.AccessFSWriteFile | ll.AccessFSTruncate
	mayMake  = ll.AccessFSMakeReg | ll.AccessFSRemoveFile
)

// forbidFiles denies all access to files except those of the program.
func (b *execer) forbidFiles() Layer {
	var rules []landlock.Rule
	allow := func(rights landlock.AccessFSSet, paths ...string) {
		for _, path := range paths {
			// Landlock rejects rights of folders on a file.
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				rules = append(rules, landlock.PathAccess(rights&^mayList, path))
			} else {
				rules = append(rules, landlock.PathAccess(rights, path))
			}
		}
	}
	allow(mayRead|mayWrite&^ll.AccessFSTruncate, rootfs.Devices...)
	allow(mayRead|mayList|mayRun, b.Program.Runtime...)
	allow(mayRead|mayList, b.Program.Files...)
	dir := b.Program.Dir
	if b.Namespaces {
		dir = Sockets
		if !b.ProbeOnly && isScript(execFD) {
			allow(mayRead, scriptPath)
		}
		if b.Program.TmpBytes > 0 {
			allow(mayRead|mayList|mayWrite|mayMake|ll.AccessFSMakeDir|ll.AccessFSRemoveDir, "/tmp")
		}
	}
	if dir != "" {
		allow(mayRead|mayList|mayWrite|mayMake|ll.AccessFSMakeSock|ll.AccessFSResolveUnix, dir)
	}
	return restrictFiles("a Landlock domain for the files of the program", rules...)
}
