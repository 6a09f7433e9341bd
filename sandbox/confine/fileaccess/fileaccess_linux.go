package fileaccess

import (
	"errors"
	"fmt"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Flags of landlock_create_ruleset that query the kernel instead of making a ruleset.
const (
	askVersion = 1 << 0
	askErrata  = 1 << 1
)

// scopedSignals is the erratum without which a thread with a separate domain cannot signal its own process. The Go
// runtime does that permanently.
const scopedSignals = 1 << (2 - 1)

// Rights are rights on a file, or on a folder and its content.
type Rights landlock.AccessFSSet

// Rights of a rule.
const (
	Read     Rights = ll.AccessFSReadFile
	List     Rights = ll.AccessFSReadDir
	Run      Rights = ll.AccessFSExecute
	Write    Rights = ll.AccessFSWriteFile
	Truncate Rights = ll.AccessFSTruncate
	Make     Rights = ll.AccessFSMakeReg | ll.AccessFSRemoveFile
	MakeDir  Rights = ll.AccessFSMakeDir | ll.AccessFSRemoveDir
	Serve    Rights = ll.AccessFSMakeSock | ll.AccessFSResolveUnix // make Unix sockets and connect to them
)

// Rule allows rights on paths. Use [Allow].
type Rule struct {
	rights Rights
	paths  []string
}

// Allow returns a rule. A path may be a file or a folder.
func Allow(rights Rights, paths ...string) Rule { return Rule{rights: rights, paths: paths} }

// landlockRules returns the rules of a domain.
func landlockRules(rules []Rule) []landlock.Rule {
	var out []landlock.Rule
	for _, r := range rules {
		for _, path := range r.paths {
			rights := r.rights
			// Landlock rejects rights of folders on a file.
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				rights &^= List
			}
			out = append(out, landlock.PathAccess(landlock.AccessFSSet(rights), path))
		}
	}
	return out
}

// Restrict denies all access to files, except by rules, and to all other objects that the kernel's Landlock
// supports. Open descriptors remain usable. The rules must not allow the root. It returns a description for a report.
func Restrict(rules ...Rule) (string, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, askVersion)
	if errno != 0 {
		return "", errno
	}
	if abi < 1 {
		return "", errors.New("the kernel has no Landlock")
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
	if err := cfg.BestEffort().Restrict(landlockRules(rules)...); err != nil {
		return "", err
	}
	if fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		_ = unix.Close(fd)
		return "", errors.New("a directory could be opened afterwards")
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
	return fmt.Sprintf("ABI %d: %s", abi, covers), nil
}
