package backup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/safewalk"
	"github.com/hearthhost/hearth/internal/upgrade"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// Target describes a restore.
type Target struct {
	Dir       string // the backup
	To        string // folder that receives the files
	State     string // folder that receives the state; "": as in the backup, below To
	Overwrite bool   // replace files, and put an existing state aside
	Sum       string // SHA-256 of the manifest in hexadecimal; "": not checked
}

// Result describes a finished restore.
type Result struct {
	Manifest *Manifest `json:"-"`
	State    string    `json:"state"`           // folder of the state
	Aside    string    `json:"aside,omitempty"` // folder of the replaced state, "" for none
	Files    int       `json:"files"`
}

// Verify compares the files of a backup with its manifest. Every missing, changed or additional file is an error.
func Verify(dir, sum string) (*Manifest, error) {
	root, m, err := open(dir, sum)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // it was only read
	return m, verify(root, m)
}

// open opens a backup and reads its manifest.
func open(dir, sum string) (root *os.Root, m *Manifest, err error) {
	if err := safefile.CheckFolder(dir); err != nil {
		return nil, nil, err
	}
	if root, err = os.OpenRoot(dir); err != nil {
		return nil, nil, err
	}
	if sum != "" {
		err = checkSum(root, sum)
	}
	if err == nil {
		m, err = readManifest(root)
	}
	if err != nil {
		_ = root.Close()
		return nil, nil, err
	}
	return root, m, nil
}

func checkSum(root *os.Root, sum string) error {
	f, err := openRegular(root, ManifestFile)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(f, maxManifest)); err != nil {
		return err
	}
	if now := hex.EncodeToString(hash.Sum(nil)); !strings.EqualFold(now, sum) {
		return fmt.Errorf("%s has the SHA-256 %s, not %s: it was changed", ManifestFile, now, sum)
	}
	return nil
}

// verify compares all files with the manifest.
func verify(root *os.Root, m *Manifest) error {
	listed, folders := map[string]bool{ManifestFile: true}, m.folders()
	for i := range m.Files {
		listed[m.Files[i].Path] = true
	}
	var failed error
	err := safewalk.Walk(root, maxFiles+len(folders)+1, nil, func(rel string, e fs.DirEntry) (bool, error) {
		switch {
		case e.IsDir() && folders[rel]:
			return true, nil
		case !e.IsDir() && !e.Type().IsRegular():
			return false, fmt.Errorf("%s is not a regular file", rel)
		case !listed[rel] || e.IsDir():
			return false, fmt.Errorf("%s is not in %s: it was added after the backup", rel, ManifestFile)
		}
		return false, nil
	}, func(rel string, err error) { failed = errors.Join(failed, fmt.Errorf("%s: %w", rel, err)) })
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	for i := range m.Files {
		if err := copyFile(root, &m.Files[i], io.Discard); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file of the backup and compares the copied bytes with the manifest.
func copyFile(root *os.Root, file *File, to io.Writer) error {
	f, err := openRegular(root, file.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing", file.Path)
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, hash), io.LimitReader(f, file.Size+1))
	if err != nil {
		return fmt.Errorf("%s: %w", file.Path, err)
	}
	if n != file.Size || hex.EncodeToString(hash.Sum(nil)) != file.SHA256 {
		return fmt.Errorf("%s was changed: its SHA-256 is not that of %s", file.Path, ManifestFile)
	}
	return nil
}

// restorer restores one backup.
type restorer struct {
	t        *Target
	m        *Manifest
	from     *os.Root
	to       *os.Root // Target.To
	state    *os.Root // the state folder
	stateDir string
	stage    string // folder of the copies until all are complete, in to and in state
}

// Restore verifies a backup and copies its files. All files are copied and compared before the first of them gets its
// name. No host may run with the state folder. The epochs of the restored stores are raised above those of the
// stores that they replace: a former owner cannot write them.
func Restore(ctx context.Context, t *Target) (*Result, error) {
	from, m, err := open(t.Dir, t.Sum)
	if err != nil {
		return nil, err
	}
	defer from.Close() //nolint:errcheck // it was only read
	if err := verify(from, m); err != nil {
		return nil, err
	}
	r := &restorer{t: t, m: m, from: from, stateDir: t.State, stage: stagePrefix + rand.Text()}
	if r.stateDir == "" {
		r.stateDir = filepath.Join(t.To, filepath.FromSlash(m.State))
	}
	for _, dir := range []string{t.To, r.stateDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if err := safefile.CheckFolder(dir); err != nil {
			return nil, err
		}
	}
	lock, err := upgrade.LockState(ctx, r.stateDir, nil)
	if err != nil {
		return nil, err
	}
	defer lock.Release(false)
	if r.to, err = os.OpenRoot(t.To); err != nil {
		return nil, err
	}
	defer r.to.Close() //nolint:errcheck // each file was synced
	if r.state, err = os.OpenRoot(r.stateDir); err != nil {
		return nil, err
	}
	defer r.state.Close() //nolint:errcheck // each file was synced
	return r.run()
}

// lockFiles are the files of a state folder that are no state.
var lockFiles = []string{"host.lock", upgrade.RestoreFile}

// stagePrefix begins the names of folders with copies that are not complete.
const stagePrefix = ".restore-"

// asidePrefix begins the names of folders with replaced states, in the state folder.
const asidePrefix = "replaced-"

// run restores the files while the state folder is locked.
func (r *restorer) run() (*Result, error) {
	former, err := r.formerState()
	if err != nil {
		return nil, err
	}
	for _, name := range former { // a restore was killed
		if strings.HasPrefix(name, stagePrefix) {
			if err := r.state.RemoveAll(name); err != nil {
				return nil, err
			}
		}
	}
	former = slices.DeleteFunc(former, func(name string) bool { return strings.HasPrefix(name, stagePrefix) })
	if err := r.checkExisting(former); err != nil {
		return nil, err
	}
	defer func() {
		_ = r.to.RemoveAll(r.stage)
		_ = r.state.RemoveAll(r.stage)
	}()
	for i := range r.m.Files {
		if err := r.copy(&r.m.Files[i]); err != nil {
			return nil, err
		}
	}
	res := &Result{Manifest: r.m, State: r.stateDir, Files: len(r.m.Files)}
	if err := r.begin(); err != nil {
		return nil, err
	}
	if len(former) > 0 {
		res.Aside = asidePrefix + time.Now().UTC().Format("20060102T150405.000Z")
		if err := r.state.Mkdir(res.Aside, 0o700); err != nil {
			return nil, err
		}
		for _, name := range former {
			before()
			if err := r.state.Rename(name, path.Join(res.Aside, name)); err != nil {
				return nil, err
			}
		}
		res.Aside = filepath.Join(r.stateDir, res.Aside)
	}
	for i := range r.m.Files {
		if err := r.place(r.m.Files[i].Path); err != nil {
			return nil, err
		}
	}
	if err := r.sync(); err != nil {
		return nil, err
	}
	before()
	return res, errors.Join(upgrade.EndRestore(r.stateDir), syncDir(r.stateDir))
}

// begin records in the state folder that names are about to change. A host does not start with that record.
func (r *restorer) begin() error {
	m := &upgrade.Restore{}
	for _, p := range []struct {
		to  *string
		dir string
	}{{&m.Backup, r.t.Dir}, {&m.To, r.t.To}, {&m.State, r.stateDir}} {
		var err error
		if *p.to, err = filepath.Abs(p.dir); err != nil {
			return err
		}
	}
	before()
	return upgrade.BeginRestore(m)
}

// killStep, if not nil, is called before each change of a name. Tests end the process in it.
var killStep func()

// before marks a change of a name, before which a test can end the process.
func before() {
	if killStep != nil {
		killStep()
	}
}

// sync makes the names of all restored files durable.
func (r *restorer) sync() error {
	dirs := map[string]bool{r.t.To: true, r.stateDir: true}
	for i := range r.m.Files {
		base, name := r.t.To, r.m.Files[i].Path
		if rest, ok := r.m.inState(name); ok {
			base, name = r.stateDir, rest
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			dirs[filepath.Join(base, filepath.FromSlash(dir))] = true
		}
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // it was only read
	return d.Sync()
}

// formerState returns the entries of the state folder, without lock files and states that were put aside before.
func (r *restorer) formerState() (names []string, err error) {
	entries, err := os.ReadDir(r.stateDir)
	for _, e := range entries {
		if !slices.Contains(lockFiles, e.Name()) && !strings.HasPrefix(e.Name(), asidePrefix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// checkExisting returns an error if a file would be replaced without the consent of the operator.
func (r *restorer) checkExisting(former []string) error {
	if r.t.Overwrite {
		return nil
	}
	if len(former) > 0 {
		return fmt.Errorf("%s has a state (%s); with --overwrite it is put aside", r.stateDir,
			strings.Join(former, ", "))
	}
	for i := range r.m.Files {
		name := r.m.Files[i].Path
		if _, ok := r.m.inState(name); ok {
			continue
		}
		if _, err := r.to.Lstat(name); err == nil {
			return fmt.Errorf("%s exists; with --overwrite it is replaced", filepath.Join(r.t.To, name))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// root returns the folder that receives a file, and its path there.
func (r *restorer) root(name string) (*os.Root, string) {
	if rest, ok := r.m.inState(name); ok {
		return r.state, rest
	}
	return r.to, name
}

// copy copies a file into the stage.
func (r *restorer) copy(file *File) error {
	root, name := r.root(file.Path)
	staged := path.Join(r.stage, name)
	if err := root.MkdirAll(path.Dir(staged), 0o700); err != nil {
		return err
	}
	mode, err := file.mode()
	if err != nil {
		return err
	}
	to, err := root.OpenFile(staged, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = copyFile(r.from, file, to)
	if err == nil {
		err = to.Chmod(mode)
	}
	if err == nil {
		err = to.Sync()
	}
	if err := errors.Join(err, to.Close()); err != nil {
		return err
	}
	tenant := r.m.tenant(file.Path)
	if tenant == "" {
		return nil
	}
	// An interrupted restore may have put the former store aside.
	aside, err := filepath.Glob(filepath.Join(r.stateDir, asidePrefix+"*"))
	if err != nil {
		return err
	}
	var epoch int64
	for _, dir := range append(aside, r.stateDir) {
		// The reason for the restore may be a damaged store.
		if n, err := sqlite.Epoch(filepath.Join(dir, "store", string(tenant)+".db")); err == nil {
			epoch = max(epoch, n)
		}
	}
	return sqlite.Fence(filepath.Join(r.stateDir, r.stage, "store", string(tenant)+".db"), epoch)
}

// place gives a file of the stage its name.
func (r *restorer) place(file string) error {
	before()
	root, name := r.root(file)
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	return root.Rename(path.Join(r.stage, name), name)
}
