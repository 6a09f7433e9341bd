package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/shell"
	"github.com/hearthhost/hearth/policy"
)

// checkFolders rejects nested folders and folders that other users can write.
func checkFolders(p *policy.Policy) error {
	errs := []error{nestedFolders(p)}
	for _, f := range folderFaults(p) {
		errs = append(errs, f.Err)
	}
	return errors.Join(append(errs, ownFolders(p))...)
}

// nestedFolders rejects folders that are inside another: a tenant's files must not become the host's state, or another
// kind of code. The audit log may be in the state folder.
func nestedFolders(p *policy.Policy) error {
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

// folderFaults returns the faults of the folders that the host writes, and of the audit log's mode.
func folderFaults(p *policy.Policy) []fault.Fault {
	var out []fault.Fault
	if err := ownFolder("state", p.State); err != nil {
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

// ownFolders rejects folders in which other users can add scripts or plugins.
func ownFolders(p *policy.Policy) error {
	return errors.Join(ownFolder("scripts", p.Scripts), ownFolder("plugins", p.Plugins))
}

// ownFolder rejects a folder that other users can write. A missing folder is not an error.
func ownFolder(what, path string) error {
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
