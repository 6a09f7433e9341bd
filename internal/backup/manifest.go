// Package backup copies the files of a host into a folder, with a manifest, and restores them.
//
// A backup is a folder with the file manifest.json and the files that it lists, each with its size and SHA-256. The
// manifest is written last: a folder without it is not a backup. [Restore] reads paths of files from a manifest that an
// attacker may have written. It uses relative paths below two folders of the operator only, follows no symbolic link,
// and compares each file with the manifest while it copies it.
package backup

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/hearthhost/hearth/object"
)

// ManifestFile is the name of the manifest.
const ManifestFile = "manifest.json"

// format is the version of the format.
const format = 1

// Bounds of a backup.
const (
	maxManifest = 256 << 20
	maxFiles    = 1_000_000
	maxPath     = 1000
)

// Manifest describes a backup.
type Manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of the program that wrote it
	Created time.Time `json:"created"`
	State   string    `json:"state"`             // folder of the host's state
	Outside []string  `json:"outside,omitempty"` // files that the policy names and the backup lacks
	Files   []File    `json:"files"`             // sorted by path
}

// File is a file of a backup.
type File struct {
	Path   string `json:"path"` // relative, with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in lower-case hexadecimal
	Mode   string `json:"mode"`   // permissions in octal
}

// mode returns the permissions of the restored file. Only its owner may write it.
func (f *File) mode() (fs.FileMode, error) {
	n, err := strconv.ParseUint(f.Mode, 8, 16)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("%s: %q is not a mode", ManifestFile, f.Mode)
	}
	return fs.FileMode(n)&0o755 | 0o600, nil
}

// checkPath returns an error for a path that is not a clean relative path of a file.
func checkPath(p string) error {
	bad := len(p) > maxPath || !fs.ValidPath(p) || p == "." || strings.ContainsRune(p, '\\') ||
		strings.ContainsFunc(p, unicode.IsControl)
	if bad {
		return fmt.Errorf("%s: %q is not a relative path below the backup", ManifestFile, p)
	}
	return nil
}

// check returns an error for a manifest that Create does not write.
func (m *Manifest) check() error {
	if m.Format != format {
		return fmt.Errorf("%s has format %d, this program reads %d; use the hearth of version %q",
			ManifestFile, m.Format, format, m.Version)
	}
	if err := checkPath(m.State); err != nil {
		return err
	}
	if len(m.Files) > maxFiles {
		return fmt.Errorf("%s lists %d files, at most %d", ManifestFile, len(m.Files), maxFiles)
	}
	files := map[string]bool{}
	for i := range m.Files {
		f := &m.Files[i]
		if err := checkPath(f.Path); err != nil {
			return err
		}
		if f.Path == ManifestFile || files[f.Path] {
			return fmt.Errorf("%s lists %q twice, or itself", ManifestFile, f.Path)
		}
		files[f.Path] = true
		sum, err := hex.DecodeString(f.SHA256)
		if err != nil || len(sum) != 32 || f.Size < 0 {
			return fmt.Errorf("%s: the size or the sum of %q is malformed", ManifestFile, f.Path)
		}
		if _, err := f.mode(); err != nil {
			return err
		}
		if m.inStore(f.Path) && m.tenant(f.Path) == "" {
			return fmt.Errorf("%s: %q is not the store of a tenant", ManifestFile, f.Path)
		}
	}
	for p := range m.folders() {
		if files[p] {
			return fmt.Errorf("%s lists %q as a file and as a folder", ManifestFile, p)
		}
	}
	if files[m.State] {
		return fmt.Errorf("%s lists the state folder %q as a file", ManifestFile, m.State)
	}
	return nil
}

// folders returns the folders of all files.
func (m *Manifest) folders() map[string]bool {
	all := map[string]bool{}
	for i := range m.Files {
		for p := path.Dir(m.Files[i].Path); p != "."; p = path.Dir(p) {
			all[p] = true
		}
	}
	return all
}

// inState returns the path of a file below the state folder. ok is false for other files.
func (m *Manifest) inState(p string) (rest string, ok bool) { return strings.CutPrefix(p, m.State+"/") }

// inStore reports whether a path is in the folder of stores.
func (m *Manifest) inStore(p string) bool {
	rest, ok := m.inState(p)
	return ok && strings.HasPrefix(rest, "store/")
}

// tenant returns the tenant whose store a file is, "" for other files.
func (m *Manifest) tenant(p string) object.Tenant {
	rest, ok := m.inState(p)
	if !ok || path.Dir(rest) != "store" {
		return ""
	}
	name, ok := strings.CutSuffix(path.Base(rest), ".db")
	if !ok || !object.ValidName(name) {
		return ""
	}
	return object.Tenant(name)
}

// readManifest reads and checks the manifest of a backup.
func readManifest(root *os.Root) (*Manifest, error) {
	f, err := openRegular(root, ManifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no %s: it is not a backup, or the backup was not finished",
			root.Name(), ManifestFile)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	m := &Manifest{}
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%s is malformed: %w", ManifestFile, err)
	}
	if d.More() {
		return nil, fmt.Errorf("%s is malformed: more data follows", ManifestFile)
	}
	return m, m.check()
}

// openRegular opens a regular file below a folder. Symbolic links and other kinds of files are errors.
func openRegular(root *os.Root, name string) (*os.File, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	// The file may have been replaced since. O_NONBLOCK: a pipe must not block.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(info, now) {
		err = fmt.Errorf("%s was replaced while it was read", name)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
