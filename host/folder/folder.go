// Package folder checks the host's folders and files: no user other than the host's and root can write them, none is
// inside another, and this process can create its files in them.
//
// [Check] is for the start of a host: its errors prevent the start. [CheckNested] and [CheckCode] are the parts that a
// running host checks again at each reload, before it reads code. [Faults] and [Probe] return faults that a running
// host reports while it continues to serve. All of them read metadata only; they change no file.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/shell"
	"github.com/hearthhost/hearth/policy"
)

// Check rejects nested folders and folders that other users can write.
func Check(p *policy.Policy) error {
	errs := []error{CheckNested(p)}
	for _, f := range unsafeFolders(p) {
		errs = append(errs, f.Err)
	}
	return errors.Join(append(errs, CheckCode(p))...)
}

// CheckNested rejects folders that are inside another: a tenant's files must not become the host's state, or another
// kind of code. The audit log may be in the state folder.
func CheckNested(p *policy.Policy) error {
	type folder struct{ what, path string }
	all := []folder{{"scripts", real(p.Scripts)}, {"plugins", real(p.Plugins)}, {"state", real(p.State)}}
	if !p.Audit.Off {
		all = append(all, folder{"the audit log", real(filepath.Dir(p.Audit.Path))})
	}
	var errs []error
	for i, a := range all {
		for _, b := range all[i+1:] {
			if (within(a.path, b.path) || within(b.path, a.path)) && (a.what != "state" || b.what != "the audit log") {
				errs = append(errs, fmt.Errorf("the folders of %s (%s) and %s (%s) are equal, "+
					"or one is inside the other: name separate folders", a.what, a.path, b.what, b.path))
			}
		}
	}
	return errors.Join(errs...)
}

// Faults returns the faults of the folders that the host writes: other users can write them, or this process
// cannot. It includes the audit log's mode.
func Faults(p *policy.Policy) []fault.Fault {
	return append(unsafeFolders(p), unwritableFolders(p)...)
}

// unsafeFolders returns the folders of the host that other users can write, and the audit log if they can read it.
func unsafeFolders(p *policy.Policy) []fault.Fault {
	var out []fault.Fault
	if err := checkWriters("state", p.State); err != nil {
		out = append(out, fault.Fault{Path: p.State, Err: err})
	}
	if p.Audit.Off {
		return out
	}
	if err := safefile.CheckPath(p.Audit.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		out = append(out, fault.Fault{Path: filepath.Dir(p.Audit.Path), Err: fmt.Errorf("the audit log: %w", err)})
	}
	if info, err := os.Lstat(p.Audit.Path); err == nil && info.Mode().Perm()&0o077 != 0 {
		out = append(out, fault.Fault{
			Path: p.Audit.Path,
			Err: fmt.Errorf("the audit log: other users may read or write it; run chmod 600 %s",
				shell.Path(p.Audit.Path)),
		})
	}
	return out
}

// CheckCode rejects folders in which other users can add scripts or plugins.
func CheckCode(p *policy.Policy) error {
	return errors.Join(checkWriters("scripts", p.Scripts), checkWriters("plugins", p.Plugins))
}

// checkWriters rejects a folder that other users can write. A missing folder is not an error.
func checkWriters(what, path string) error {
	if err := safefile.CheckFolder(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder of %s: %w", what, err)
	}
	return nil
}

// real returns a path with the symbolic links of its existing part resolved.
func real(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	if dir := filepath.Dir(path); dir != path {
		return filepath.Join(real(dir), filepath.Base(path))
	}
	return path
}

// within reports whether path is folder or is inside it.
func within(path, folder string) bool {
	separator := string(os.PathSeparator)
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, separator)+separator)
}

// unwritableFolders returns the folders in which the host must create files and this process cannot: those of the
// state, of the audit log and, for enrolment, of keys and the authority.
func unwritableFolders(p *policy.Policy) []fault.Fault {
	dirs := []string{p.State}
	if !p.Audit.Off {
		dirs = append(dirs, filepath.Dir(p.Audit.Path))
	}
	if p.Enroll != nil {
		for _, k := range p.Keys {
			dirs = append(dirs, filepath.Dir(k.Path))
		}
		if p.Enroll.CA != "" {
			dirs = append(dirs, p.Enroll.CA)
		}
	}
	slices.Sort(dirs)
	var out []fault.Fault
	for _, dir := range slices.Compact(dirs) {
		if err := writable(dir); err != nil {
			out = append(out, fault.Fault{Path: dir, Err: err})
		}
	}
	return out
}

// writable returns an error if this process cannot create files in a folder. The folder may not exist yet.
func writable(dir string) error {
	at := dir
	for {
		_, err := os.Stat(at)
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	err := unix.Access(at, unix.W_OK|unix.X_OK)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("the file system of %s is read-only for this process; "+
			"under systemd, name the folder in ReadWritePaths=", at)
	case at != dir:
		return fmt.Errorf("the host cannot create it: write to %s: %w", at, err)
	}
	return fmt.Errorf("the host cannot write to it: %w", err)
}

// Probe checks the host's folders. A hung file system does not block its caller.
type Probe struct {
	busy  atomic.Bool
	found atomic.Pointer[[]fault.Fault]
}

// probeTimeout bounds a check. After it the result of the last check counts.
const probeTimeout = time.Second

// Faults returns the current faults of the folders that the host writes.
func (b *Probe) Faults(p *policy.Policy) []fault.Fault {
	if !b.busy.Swap(true) {
		done := make(chan struct{})
		go func() { // ends when its system calls return
			all := Faults(p)
			b.found.Store(&all)
			b.busy.Store(false)
			close(done)
		}()
		late := time.NewTimer(probeTimeout)
		defer late.Stop()
		select {
		case <-done:
		case <-late.C:
		}
	}
	if found := b.found.Load(); found != nil {
		return *found
	}
	return nil
}

// CheckPolicyFile rejects a policy file that users other than the host's and root can write or
// replace: they would control all access. A path of "" is the built-in policy and passes. A
// missing file passes too, since its reader reports it.
func CheckPolicyFile(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stat the policy file: %w", err)
	}
	if err := safefile.CheckFile(path, info); err != nil {
		return fmt.Errorf("checking the policy file: %w", err)
	}
	return nil
}
