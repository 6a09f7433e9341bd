package rootfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Devices are available to every program. They leak no information.
var Devices = []string{"/dev/null", "/dev/random", "/dev/urandom"}

// mountTree is a file or folder of the host that will be mounted in a program's root.
type mountTree struct {
	path   string
	fd     int
	folder bool
}

// ErrPath marks errors about a path of the policy.
var ErrPath = errors.New("")

// Options are the contents of a program's root.
type Options struct {
	Runtime []string // paths of the host: read-only, may be executed
	Files   []string // paths of the host: read-only
	Sockets string   // path of a folder for sockets, in memory
	// TmpBytes is the size of /tmp, in memory; 0 means none.
	TmpBytes int64
	// UID and GID own the writable folders.
	UID, GID int
	// Script is the descriptor of a script that is copied to ScriptPath, or -1.
	Script     int
	ScriptPath string
}

// Program replaces the root of the process, in its own mount namespace, by one that contains only the files of o. It
// returns a descriptor of the folder for sockets. An error about a path of o wraps ErrPath.
func Program(o Options) (sockets int, err error) {
	unix.Umask(0) // modes are exact
	if err := privateMounts(); err != nil {
		return -1, err
	}
	trees, err := o.openTrees() // before anything is mounted over them
	if err != nil {
		return -1, err
	}
	if err := enterNewRoot("mode=0755,size=64m,nr_inodes=1k"); err != nil {
		return -1, err
	}
	for _, t := range trees {
		if err := t.attach(); err != nil {
			return -1, fmt.Errorf("showing %s: %w%w", t.path, err, ErrPath)
		}
	}
	if o.Script >= 0 {
		if err := o.copyScript(); err != nil {
			return -1, err
		}
	}
	sockets, err = o.makeFolders()
	if err != nil {
		return sockets, err
	}
	if err := pivot(); err != nil {
		return sockets, err
	}
	unix.Umask(0o077)
	return sockets, nil
}

// openTrees clones the mounts that the program will see, read-only and without devices and set-user-id bits.
func (o *Options) openTrees() ([]mountTree, error) {
	var trees []mountTree
	for _, group := range []struct {
		paths []string
		attr  uint64
	}{
		{Devices, unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC},
		{o.Runtime, unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV},
		{o.Files, unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV |
			unix.MOUNT_ATTR_NOEXEC},
	} {
		for _, path := range group.paths {
			t, err := openTree(path, group.attr)
			if err != nil {
				return nil, fmt.Errorf("showing %s: %w%w", path, err, ErrPath)
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
func (o *Options) copyScript() error {
	path := strings.TrimPrefix(o.ScriptPath, "/")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444) //nolint:gosec // in a private root
	if err != nil {
		return err
	}
	defer f.Close()
	dup, err := unix.FcntlInt(uintptr(o.Script), unix.F_DUPFD_CLOEXEC, o.Script+1)
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
	SocketBytes = 64 << 10
	socketFiles = 256
)

// makeFolders makes the writable folders: one for sockets, without room for content, and optionally /tmp. Both are in
// memory and end with the program. It returns a descriptor of the folder for sockets, or -1.
func (o *Options) makeFolders() (sockets int, err error) {
	mount := func(name, size string) error {
		if err := os.Mkdir(name, 0o755); err != nil { //nolint:gosec // mounted over at once
			return err
		}
		options := fmt.Sprintf("mode=0700,uid=%d,gid=%d,%s", o.UID, o.GID, size)
		if err := unix.Mount("hearth", name, "tmpfs", emptyFlags|unix.MS_NOSYMFOLLOW, options); err != nil {
			return fmt.Errorf("mounting /%s: %w", name, err)
		}
		return nil
	}
	name := strings.TrimPrefix(o.Sockets, "/")
	if err := mount(name, fmt.Sprintf("size=%d,nr_inodes=%d", SocketBytes, socketFiles)); err != nil {
		return -1, err
	}
	sockets, err = unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening the folder of the sockets: %w", err)
	}
	if o.TmpBytes > 0 {
		return sockets, mount("tmp", fmt.Sprintf("size=%d,nr_inodes=4096", o.TmpBytes))
	}
	return sockets, nil
}
