package backup

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/safewalk"
	"github.com/hearthhost/hearth/internal/shell"
)

// Config describes a backup.
type Config struct {
	Dir     string // new or empty folder
	Version string
	Items   []Item
	State   string // path of the state folder in the backup
	Audit   string // the audit log, absolute; "": none
	AuditTo string // folder of the audit log in the backup
	Outside []string
	Tenants []string // tenants with a store
	// Store writes a copy of the store of a tenant.
	Store func(tenant string, to io.Writer) error
}

// Item is a file or folder that is copied.
type Item struct {
	From string // absolute; a missing one is left out
	To   string // path in the backup
}

// writer writes the files of a backup.
type writer struct {
	cfg   *Config
	root  *os.Root
	files map[string]File
}

// Create writes a backup and returns its manifest, and the SHA-256 of the manifest file. After an error the folder has
// no manifest.
func Create(cfg *Config) (m *Manifest, sum string, err error) {
	if err := checkOutside(cfg); err != nil {
		return nil, "", err
	}
	if err := prepare(cfg.Dir); err != nil {
		return nil, "", err
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, "", err
	}
	defer root.Close() //nolint:errcheck // each file was synced
	w := &writer{cfg, root, map[string]File{}}
	for _, tenant := range cfg.Tenants {
		to := path.Join(cfg.State, "store", tenant+".db")
		err := w.write(to, 0o600, func(out io.Writer) error { return cfg.Store(tenant, out) })
		if err != nil {
			return nil, "", fmt.Errorf("copying the store of %s: %w", tenant, err)
		}
	}
	if cfg.Audit != "" {
		if err := w.copyAudit(); err != nil {
			return nil, "", fmt.Errorf("copying the audit log: %w", err)
		}
	}
	for _, item := range cfg.Items {
		if err := w.copyItem(item); err != nil {
			return nil, "", fmt.Errorf("copying %s: %w", item.From, err)
		}
	}
	m = &Manifest{
		Format:  format,
		Version: cfg.Version,
		Created: time.Now().UTC().Truncate(time.Second),
		State:   cfg.State,
		Outside: cfg.Outside,
		Files:   []File{},
	}
	for _, f := range w.files {
		m.Files = append(m.Files, f)
	}
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	if err := m.check(); err != nil {
		return nil, "", err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, "", err
	}
	text = append(text, '\n')
	hash := sha256.Sum256(text)
	return m, hex.EncodeToString(hash[:]), safefile.Create(filepath.Join(cfg.Dir, ManifestFile), text, 0o600)
}

// checkOutside returns an error if the folder of the backup is in a folder that is copied.
func checkOutside(cfg *Config) error {
	parent, err := filepath.Abs(filepath.Dir(filepath.Clean(cfg.Dir)))
	if err == nil {
		parent, err = filepath.EvalSymlinks(parent)
	}
	if err != nil {
		return err
	}
	for _, item := range cfg.Items {
		from, err := filepath.EvalSymlinks(item.From)
		if err != nil {
			continue // it is left out, or cannot be copied
		}
		if rel, err := filepath.Rel(from, parent); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("%s is in %s, which is copied; name another folder", cfg.Dir, item.From)
		}
	}
	return nil
}

// prepare makes the folder of a backup. An existing one must be empty, and closed to other users.
func prepare(dir string) error {
	if err := os.Mkdir(dir, 0o700); err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name a new folder", dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("other users can enter %s (mode %04o); run chmod 700 %s", dir, mode, shell.Path(dir))
	}
	return safefile.CheckFolder(dir)
}

// write writes a file of the backup and records it.
func (w *writer) write(to string, mode fs.FileMode, do func(io.Writer) error) error {
	if err := w.root.MkdirAll(path.Dir(to), 0o700); err != nil {
		return err
	}
	f, err := w.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	hash := sha256.New()
	size := counter(0)
	err = do(io.MultiWriter(f, hash, &size))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	w.files[to] = File{to, int64(size), hex.EncodeToString(hash.Sum(nil)), fmt.Sprintf("%04o", mode.Perm())}
	return nil
}

// counter counts bytes.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// copyOpen copies an open file, at most max bytes, and closes it.
func (w *writer) copyOpen(to string, f *os.File, max int64) error {
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return w.write(to, info.Mode(), func(out io.Writer) error {
		_, err := io.Copy(out, io.LimitReader(f, max))
		return err
	})
}

const noBound = 1 << 62

// copyItem copies a file, or the regular files of a folder. A tenant may own the folder and replace files by links
// at any time: links in it are not followed.
func (w *writer) copyItem(item Item) error {
	info, err := os.Stat(item.From)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().IsRegular():
		f, err := os.OpenFile(item.From, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the policy names it
		if err != nil {
			return err
		}
		return w.copyOpen(item.To, f, noBound)
	case !info.IsDir():
		return errors.New("it is neither a file nor a folder")
	}
	root, err := os.OpenRoot(item.From)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // it was only read
	var failed error
	err = safewalk.Walk(root, maxFiles, nil, func(rel string, e fs.DirEntry) (bool, error) {
		if e.IsDir() {
			return true, nil
		}
		if !e.Type().IsRegular() || e.Name() == ".lock" {
			return false, nil
		}
		f, err := openRegular(root, rel)
		if errors.Is(err, fs.ErrNotExist) { // it was removed meanwhile
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return false, w.copyOpen(path.Join(item.To, rel), f, noBound)
	}, func(rel string, err error) { failed = errors.Join(failed, fmt.Errorf("%s: %w", rel, err)) })
	return errors.Join(err, failed)
}

// auditAttempts bounds the attempts to copy an audit log whose files change at the same time.
const auditAttempts = 5

// copyAudit copies the files of the audit log as they were at one moment. A running host may rotate and remove files.
func (w *writer) copyAudit() error {
	for attempt := 1; ; attempt++ {
		files, changed, err := w.tryAudit()
		if err != nil {
			return err
		}
		if !changed {
			return nil
		}
		for _, name := range files {
			delete(w.files, name)
			if err := w.root.Remove(name); err != nil {
				return err
			}
		}
		if attempt == auditAttempts {
			return errors.New("its files change all the time; try again")
		}
	}
}

// tryAudit copies the files of the audit log. changed reports that a file was rotated or removed meanwhile.
func (w *writer) tryAudit() (files []string, changed bool, err error) {
	current, err := os.Open(w.cfg.Audit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer current.Close() //nolint:errcheck // it was only read
	opened, err := current.Stat()
	if err != nil {
		return nil, false, err
	}
	old, err := trail.Rotated(w.cfg.Audit)
	if err != nil {
		return nil, false, err
	}
	for _, name := range append(old, trail.KeptName(w.cfg.Audit)) {
		to := path.Join(w.cfg.AuditTo, filepath.Base(name))
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			if name == trail.KeptName(w.cfg.Audit) {
				continue
			}
			return files, true, nil
		}
		if err == nil {
			files = append(files, to)
			err = w.copyOpen(to, f, noBound)
		}
		if err != nil {
			return files, false, err
		}
	}
	// Records are written as whole lines, but may be read in the middle of a write.
	text, err := io.ReadAll(current)
	if err != nil {
		return files, false, err
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	to := path.Join(w.cfg.AuditTo, filepath.Base(w.cfg.Audit))
	files = append(files, to)
	err = w.write(to, 0o600, func(out io.Writer) error {
		_, err := out.Write(text)
		return err
	})
	if err != nil {
		return files, false, err
	}
	again, err := trail.Rotated(w.cfg.Audit)
	if err != nil {
		return files, false, err
	}
	now, err := os.Stat(w.cfg.Audit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files, false, err
	}
	return files, err != nil || !os.SameFile(opened, now) || !slices.Equal(old, again), nil
}
