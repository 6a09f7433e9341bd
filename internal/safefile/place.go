package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hearthhost/hearth/internal/shell"
)

// Place refuses a path at which somebody else than this process's user and root could put
// something of his own, or another of our files: one in a folder that belongs to another
// user, below a folder that everybody may write to, or that another user's link leads to.
// Groups of folders are trusted, and so are the owners of the folders further up. What path
// names need not exist; its folder must.
func Place(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := way(path); err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	uid, ok := foreign(info)
	if ok {
		return fmt.Errorf("the folder %s belongs to uid %d, who could replace what is in it: name one that the host's user owns", dir, uid)
	}
	return nil
}

// Folder refuses a folder to which somebody else than this process's user and root may add
// files: as [Place] does of a path in it, and if everybody may write to it, whether or not they
// may also replace what is there. It must exist.
func Folder(path string) error {
	if err := Place(filepath.Join(path, "any")); err != nil {
		return err
	}
	return notEverybodys(path)
}

// Executable refuses a file that everybody may write to, replace, or have put there.
func Executable(path string) error {
	if err := way(path); err != nil {
		return err
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		if err := notEverybodys(p); err != nil {
			return err
		}
	}
	return nil
}

func notEverybodys(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o002 != 0 {
		err = fmt.Errorf("anybody may write to %s: chmod o-w %s", path, shell.Path(path))
	}
	return err
}

// way looks at what leads to a path.
func way(path string) error {
	for p := path; p != filepath.Dir(p); p = filepath.Dir(p) {
		info, err := os.Lstat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		switch uid, other := foreign(info); {
		case info.Mode().Type() == fs.ModeSymlink && other:
			return fmt.Errorf("the link %s belongs to uid %d, who could lead it elsewhere: name where it leads", p, uid)
		case info.Mode().Type() == fs.ModeSymlink:
			if err := wayOn(p); err != nil {
				return err
			}
		case info.IsDir() && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
			return fmt.Errorf("anybody may write to the folder %s and so replace what is in it: chmod o-w %s", p, shell.Path(p))
		}
	}
	return nil
}

// wayOn looks at what leads to where a link leads.
func wayOn(link string) error {
	to, err := os.Readlink(link)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(to) {
		// Not by the link's name: ".." is the parent of where the folder really is.
		dir, err := filepath.EvalSymlinks(filepath.Dir(link))
		if err != nil {
			return err
		}
		to = filepath.Join(dir, to)
	}
	return way(to)
}

// foreign returns the owner of a file, if that is another user than root and this process's.
func foreign(info fs.FileInfo) (uid uint32, ok bool) {
	st, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return ^uint32(0), true
	}
	return st.Uid, st.Uid != 0 && int(st.Uid) != os.Geteuid()
}
