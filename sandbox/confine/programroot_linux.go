package confine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// devices are available to every program. They leak no information.
var devices = []string{"/dev/null", "/dev/random", "/dev/urandom"}

// mountTree is a file or folder of the host that will be mounted in a program's root.
type mountTree struct {
	path   string
	fd     int
	folder bool
}

// enterRoot replaces the root by one that contains only the files that the program needs, all read-only.
func (b *execer) enterRoot() Layer {
	if !b.Namespaces {
		return b.Done[slices.IndexFunc(b.Done, func(l Layer) bool { return l.Name == Namespaces })]
	}
	const how = "user (where the host is not root), mount, pid, net, ipc and uts; the root is a read-only tmpfs " +
		"with a folder for sockets"
	if os.Getpid() != 1 {
		return missing(Namespaces, how, namespaceRemedy(), fmt.Errorf("the process is number %d of its pid "+
			"namespace, not the first", os.Getpid()))
	}
	if err := b.exchangeRoot(); err != nil {
		remedy := namespaceRemedy()
		if errors.Is(err, errTree) {
			remedy = "see runtime and files of the plugin; the tenant's user has to be able to reach them"
		}
		if b.Spec.allowsMissing(Namespaces) && !b.Try {
			b.execErr = fmt.Errorf("its root is incomplete: %w", err)
		}
		return missing(Namespaces, how, remedy, err)
	}
	if n := len(b.Program.Runtime) + len(b.Program.Files); n > 0 {
		return holds(Namespaces, fmt.Sprintf("%s and %d paths of the host", how, n))
	}
	return holds(Namespaces, how)
}

// errTree marks errors about a path of the policy.
var errTree = errors.New("")

func (b *execer) exchangeRoot() error {
	unix.Umask(0)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	trees, err := b.openTrees() // before anything is mounted over them
	if err != nil {
		return err
	}
	at, err := mountEmpty("mode=0755,size=64m,nr_inodes=1k")
	if err != nil {
		return err
	}
	if err := unix.Chdir(at); err != nil {
		return fmt.Errorf("entering the new root: %w", err)
	}
	if err := mountProc(); err != nil {
		return err
	}
	for _, t := range trees {
		if err := t.attach(); err != nil {
			return fmt.Errorf("showing %s: %w%w", t.path, err, errTree)
		}
	}
	if !b.Try && isScript(execFD) {
		if err := copyScript(); err != nil {
			return err
		}
	}
	if err := b.makeFolders(); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("entering the new root: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|emptyFlags|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("making the new root read-only: %w", err)
	}
	unix.Umask(0o077)
	return nil
}

// openTrees clones the mounts that the program will see, read-only and without devices and set-user-id bits.
func (b *execer) openTrees() ([]mountTree, error) {
	var trees []mountTree
	for _, group := range []struct {
		paths []string
		attr  uint64
	}{
		{devices, unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC},
		{b.Program.Runtime, unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV},
		{b.Program.Files, unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV |
			unix.MOUNT_ATTR_NOEXEC},
	} {
		for _, path := range group.paths {
			t, err := openTree(path, group.attr)
			if err != nil {
				return nil, fmt.Errorf("showing %s: %w%w", path, err, errTree)
			}
			trees = append(trees, t)
		}
	}
	return trees, nil
}

func openTree(path string, attr uint64) (mountTree, error) {
	t := mountTree{path: path}
	info, err := os.Stat(path)
	if err != nil {
		return t, errors.Unwrap(err)
	}
	t.folder = info.IsDir()
	if t.fd, err = unix.OpenTree(unix.AT_FDCWD, path,
		unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE); err != nil {
		return t, os.NewSyscallError("open_tree", err)
	}
	err = unix.MountSetattr(t.fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE,
		&unix.MountAttr{Attr_set: attr, Propagation: unix.MS_PRIVATE})
	return t, os.NewSyscallError("mount_setattr", err)
}

// attach mounts a tree at its path in the new root, which is the current directory.
func (t mountTree) attach() error {
	to := strings.TrimPrefix(t.path, "/")
	folders := to
	if !t.folder {
		folders = filepath.Dir(to)
	}
	if err := os.MkdirAll(folders, 0o755); err != nil { //nolint:gosec // in a root that no other process sees
		return err
	}
	if !t.folder {
		f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444) //nolint:gosec // the same
		if err != nil {
			return err
		}
		f.Close()
	}
	if err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return os.NewSyscallError("move_mount", err)
	}
	return unix.Close(t.fd)
}

// copyScript copies the sealed script to a path that its interpreter can read.
func copyScript() error {
	path := strings.TrimPrefix(scriptPath, "/")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444) //nolint:gosec // in a private root
	if err != nil {
		return err
	}
	defer f.Close()
	dup, err := unix.FcntlInt(execFD, unix.F_DUPFD_CLOEXEC, controlFD+1)
	if err != nil {
		return err
	}
	from := os.NewFile(uintptr(dup), "script")
	defer from.Close()
	if _, err := io.Copy(f, io.NewSectionReader(from, 0, 1<<62)); err != nil {
		return fmt.Errorf("copying the script: %w", err)
	}
	return f.Close()
}

// Limits of the folder for sockets: almost no content, and enough sockets.
const (
	socketBytes = 64 << 10
	socketFiles = 256
)

// makeFolders makes the writable folders of the program: one for sockets, without room for content, and optionally
// /tmp. Both are in memory and end with the program.
func (b *execer) makeFolders() error {
	uid, gid := int(b.UID), int(b.GID)
	if uid == 0 {
		uid, gid = os.Getuid(), os.Getgid()
	}
	mount := func(name, size string) error {
		if err := os.Mkdir(name, 0o755); err != nil { //nolint:gosec // mounted over at once
			return err
		}
		options := fmt.Sprintf("mode=0700,uid=%d,gid=%d,%s", uid, gid, size)
		if err := unix.Mount("hearth", name, "tmpfs", emptyFlags|unix.MS_NOSYMFOLLOW, options); err != nil {
			return fmt.Errorf("mounting /%s: %w", name, err)
		}
		return nil
	}
	name := strings.TrimPrefix(Sockets, "/")
	if err := mount(name, fmt.Sprintf("size=%d,nr_inodes=%d", socketBytes, socketFiles)); err != nil {
		return err
	}
	var err error
	b.sockets, err = unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening the folder of the sockets: %w", err)
	}
	if b.Program.TmpBytes > 0 {
		return mount("tmp", fmt.Sprintf("size=%d,nr_inodes=4096", b.Program.TmpBytes))
	}
	return nil
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
	allow(mayRead|mayWrite&^ll.AccessFSTruncate, devices...)
	allow(mayRead|mayList|mayRun, b.Program.Runtime...)
	allow(mayRead|mayList, b.Program.Files...)
	dir := b.Program.Dir
	if b.Namespaces {
		dir = Sockets
		if !b.Try && isScript(execFD) {
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
