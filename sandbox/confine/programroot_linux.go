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

// devices are those that every program has: they give and take nothing that matters.
var devices = []string{"/dev/null", "/dev/random", "/dev/urandom"}

// tree is a file or folder of the host's on its way into a program's root.
type tree struct {
	path   string
	fd     int
	folder bool
}

// enterRoot exchanges the file system that the process sees for one that holds nothing but
// what the program needs, none of which it can write to.
func (b *become) enterRoot() Layer {
	if !b.Namespaces {
		return b.Done[slices.IndexFunc(b.Done, func(l Layer) bool { return l.Name == Namespaces })]
	}
	const how = "user (where the host is not root), mount, pid, net, ipc and uts; the root is a read-only tmpfs with a folder for sockets"
	if os.Getpid() != 1 {
		return missing(Namespaces, how, namespaceRemedy(), fmt.Errorf("the process is number %d of its pid namespace, not the first", os.Getpid()))
	}
	if err := b.exchangeRoot(); err != nil {
		remedy := namespaceRemedy()
		if errors.Is(err, errTree) {
			remedy = "see runtime and files of the plugin; the tenant's user has to be able to reach them"
		}
		if b.Spec.allowsMissing(Namespaces) && !b.Try {
			b.cannot = fmt.Errorf("its root could not be made, and half of one is none: %w", err)
		}
		return missing(Namespaces, how, remedy, err)
	}
	if n := len(b.Program.Runtime) + len(b.Program.Files); n > 0 {
		return holds(Namespaces, fmt.Sprintf("%s and %d paths of the host", how, n))
	}
	return holds(Namespaces, how)
}

// errTree is a path of the policy that cannot be shown.
var errTree = errors.New("")

func (b *become) exchangeRoot() error {
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
	if err := furnish(); err != nil {
		return err
	}
	for _, t := range trees {
		if err := t.plant(); err != nil {
			return fmt.Errorf("showing %s: %w%w", t.path, err, errTree)
		}
	}
	if !b.Try && isScript(imageFD) {
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

// openTrees takes copies of the mounts that the program is to see, read-only and without
// devices and set-user-id bits.
func (b *become) openTrees() ([]tree, error) {
	var trees []tree
	for _, group := range []struct {
		paths []string
		attr  uint64
	}{
		{devices, unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC},
		{b.Program.Runtime, unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV},
		{b.Program.Files, unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC},
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

func openTree(path string, attr uint64) (tree, error) {
	t := tree{path: path}
	info, err := os.Stat(path)
	if err != nil {
		return t, errors.Unwrap(err)
	}
	t.folder = info.IsDir()
	if t.fd, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE); err != nil {
		return t, os.NewSyscallError("open_tree", err)
	}
	err = unix.MountSetattr(t.fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attr, Propagation: unix.MS_PRIVATE})
	return t, os.NewSyscallError("mount_setattr", err)
}

// plant puts a tree into the new root, the current directory, at its own path.
func (t tree) plant() error {
	to := strings.TrimPrefix(t.path, "/")
	folders := to
	if !t.folder {
		folders = filepath.Dir(to)
	}
	if err := os.MkdirAll(folders, 0o755); err != nil { //nolint:gosec // in a root that nobody else sees
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

// copyScript puts the sealed script where its interpreter can read it.
func copyScript() error {
	f, err := os.OpenFile(strings.TrimPrefix(scriptPath, "/"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444) //nolint:gosec // in a root that nobody else sees
	if err != nil {
		return err
	}
	defer f.Close()
	dup, err := unix.FcntlInt(imageFD, unix.F_DUPFD_CLOEXEC, controlFD+1)
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

// What the folder for sockets holds at most: no content to speak of, and enough sockets.
const (
	socketBytes = 64 << 10
	socketFiles = 256
)

// makeFolders makes what the program can write to: a folder that takes sockets and no
// content, and a /tmp if it has one. Both are in memory and gone with it.
func (b *become) makeFolders() error {
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
	if b.sockets, err = unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("opening the folder of the sockets: %w", err)
	}
	if b.Program.TmpBytes > 0 {
		return mount("tmp", fmt.Sprintf("size=%d,nr_inodes=4096", b.Program.TmpBytes))
	}
	return nil
}

// The rights of Landlock that a program has.
const (
	mayRead  = ll.AccessFSReadFile
	mayList  = ll.AccessFSReadDir
	mayRun   = ll.AccessFSExecute
	mayWrite = ll.AccessFSWriteFile | ll.AccessFSTruncate
	mayMake  = ll.AccessFSMakeReg | ll.AccessFSRemoveFile
)

// forbidFiles denies every access to files but to those that the program has been given.
func (b *become) forbidFiles() Layer {
	var rules []landlock.Rule
	allow := func(rights landlock.AccessFSSet, paths ...string) {
		for _, path := range paths {
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
		if !b.Try && isScript(imageFD) {
			allow(mayRead, scriptPath)
		}
		if b.Program.TmpBytes > 0 {
			allow(mayRead|mayList|mayWrite|mayMake|ll.AccessFSMakeDir|ll.AccessFSRemoveDir, "/tmp")
		}
	}
	if dir != "" {
		allow(mayRead|mayList|mayWrite|mayMake|ll.AccessFSMakeSock|ll.AccessFSResolveUnix, dir)
	}
	return restrictFiles("a Landlock domain for what it has been given", rules...)
}
