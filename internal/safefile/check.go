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

// CheckPath returns an error if another user can replace the file at path, or decide which file path leads to.
// Trusted users are root and the user of this process.
//
// It rejects a path whose folder belongs to another user, that is below a world-writable folder without the
// sticky bit, or that leads through a symbolic link of another user. It trusts the groups of folders, and the
// owners of the folders further up. The file need not exist, its folder must.
func CheckPath(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := checkParents(path); err != nil {
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
	if uid, other := otherOwner(info); other {
		return fmt.Errorf("the folder %s belongs to uid %d, which can replace its files; "+
			"use another folder or run chown %d %s", dir, uid, os.Geteuid(), shell.Path(dir))
	}
	return nil
}

// CheckFolder returns an error if another user can add files to a folder, or replace files in it: the conditions
// of [CheckPath] for the folder's files, and a world-writable folder even with the sticky bit. The folder must
// exist.
func CheckFolder(path string) error {
	if err := CheckPath(filepath.Join(path, "any")); err != nil {
		return err
	}
	return statMode(path)
}

// CheckExecutable returns an error if every user of the machine can write to a program or replace it. Unlike
// [CheckFile] it accepts a program of another user.
func CheckExecutable(path string) error {
	if err := checkParents(path); err != nil {
		return err
	}
	if err := statMode(path); err != nil {
		return err
	}
	return statMode(filepath.Dir(path))
}

// CheckFile returns an error if another user can change or replace the file at path: [CheckMode], the file's
// owner, and [CheckPath]. info describes the file after symbolic links were followed.
func CheckFile(path string, info fs.FileInfo) error {
	if err := CheckMode(path, info); err != nil {
		return err
	}
	if uid, other := otherOwner(info); other {
		return fmt.Errorf("%s belongs to uid %d, which can change it; run chown %d %s",
			path, uid, os.Geteuid(), shell.Path(path))
	}
	return CheckPath(path)
}

// CheckMode returns an error if a file or folder is world-writable. The error has the command that repairs it.
func CheckMode(path string, info fs.FileInfo) error {
	mode := info.Mode().Perm()
	if mode&0o002 == 0 {
		return nil
	}
	return fmt.Errorf("%s is world-writable (mode %04o); run chmod o-w %s", path, mode, shell.Path(path))
}

// statMode is CheckMode of the file that path leads to.
func statMode(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return CheckMode(path, info)
}

// checkParents checks path and its parent folders, and follows symbolic links.
func checkParents(path string) error {
	for p := path; p != filepath.Dir(p); p = filepath.Dir(p) {
		info, err := os.Lstat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		switch uid, other := otherOwner(info); {
		case info.Mode().Type() == fs.ModeSymlink && other:
			return fmt.Errorf("the symbolic link %s belongs to uid %d, which can change its target; "+
				"use the path of the target", p, uid)
		case info.Mode().Type() == fs.ModeSymlink:
			if err := checkTarget(p); err != nil {
				return err
			}
		case info.IsDir() && info.Mode()&fs.ModeSticky == 0: // with the sticky bit only owners rename files
			if err := CheckMode(p, info); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkTarget is checkParents of the target of a symbolic link.
func checkTarget(link string) error {
	target, err := os.Readlink(link)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(target) {
		// ".." in target is the parent of the link's real folder, not of the path by which it was reached.
		dir, err := filepath.EvalSymlinks(filepath.Dir(link))
		if err != nil {
			return err
		}
		target = filepath.Join(dir, target)
	}
	return checkParents(target)
}

// otherOwner returns the owner of a file. other reports that this is neither root nor the user of this process.
// An unknown owner counts as another user.
func otherOwner(info fs.FileInfo) (uid uint32, other bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ^uint32(0), true
	}
	return st.Uid, st.Uid != 0 && int(st.Uid) != os.Geteuid()
}
