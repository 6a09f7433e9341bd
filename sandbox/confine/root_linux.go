package confine

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/sandbox/confine/executable"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
	"github.com/hearthhost/hearth/sandbox/confine/namespace"
	"github.com/hearthhost/hearth/sandbox/confine/rootfs"
)

// enterEmptyRoot replaces the root by an empty read-only file system.
func enterEmptyRoot() layer.Layer {
	const how = "user (where the host is not root), mount, pid, net, ipc and uts; the root is an empty read-only tmpfs"
	if os.Getpid() != 1 {
		return layer.Missing(layer.Namespaces, how, namespace.Remedy(), errNotFirst())
	}
	if err := rootfs.Empty(); err != nil {
		remedy := namespace.Remedy()
		if errors.Is(err, unix.EINVAL) {
			remedy = "the host's root is not a mount point, as in a chroot; run the host outside the chroot"
		}
		return layer.Missing(layer.Namespaces, how, remedy, err)
	}
	return layer.Held(layer.Namespaces, how)
}

// enterRoot replaces the root by one that contains only the files that the program needs, all read-only.
func (b *execer) enterRoot() layer.Layer {
	if !b.Namespaces {
		return b.Done[slices.IndexFunc(b.Done, func(l layer.Layer) bool { return l.Name == layer.Namespaces })]
	}
	const how = "user (where the host is not root), mount, pid, net, ipc and uts; the root is a read-only tmpfs " +
		"with a folder for sockets"
	if os.Getpid() != 1 {
		return layer.Missing(layer.Namespaces, how, namespace.Remedy(), errNotFirst())
	}
	o := rootfs.Options{
		Runtime:    b.Program.Runtime,
		Files:      b.Program.Files,
		Sockets:    Sockets,
		TmpBytes:   b.Program.TmpBytes,
		UID:        int(b.UID),
		GID:        int(b.GID),
		Script:     -1,
		ScriptPath: executable.ScriptPath,
	}
	if b.UID == 0 { // it keeps the ids of this process
		o.UID, o.GID = os.Getuid(), os.Getgid()
	}
	if !b.ProbeOnly && executable.IsScript(execFD) {
		o.Script = execFD
	}
	var err error
	b.sockets, err = rootfs.Program(o)
	if err != nil {
		remedy := namespace.Remedy()
		if errors.Is(err, rootfs.ErrPath) {
			remedy = "see runtime and files of the plugin; the tenant's user has to be able to reach them"
		}
		if b.Spec.allowsMissing(layer.Namespaces) && !b.ProbeOnly {
			b.execErr = fmt.Errorf("its root is incomplete: %w", err)
		}
		return layer.Missing(layer.Namespaces, how, remedy, err)
	}
	if n := len(b.Program.Runtime) + len(b.Program.Files); n > 0 {
		return layer.Held(layer.Namespaces, fmt.Sprintf("%s and %d paths of the host", how, n))
	}
	return layer.Held(layer.Namespaces, how)
}

// errNotFirst is the reason for a process that was not cloned into a new pid namespace.
func errNotFirst() error {
	return fmt.Errorf("the process is number %d of its pid namespace, not the first", os.Getpid())
}
