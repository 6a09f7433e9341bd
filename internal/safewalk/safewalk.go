// Package safewalk walks folders of untrusted owners. An owner may change the folder during the walk, replace folders
// by symbolic links, or fill it with any number of files.
package safewalk

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// MaxDepth is the largest depth of nested folders: opening a folder costs one step per level.
const MaxDepth = 32

// ErrMany is returned for a folder with more files and folders than the limit.
var ErrMany = errors.New("too many files and folders; the rest is ignored")

// Walk calls visit for the files and folders below root, at most max of them, sorted by name within each folder. It
// enters the folders for which visit returns true. Paths are relative, with slashes; "." is root itself. A folder
// that is replaced by a symbolic link during the walk never leads out of root.
//
// admit is called for each opened folder; the folder is skipped if it returns an error. nil admits all. failed is
// called for each folder that is skipped or cannot be read, but not for one that was removed.
//
// Walk returns [ErrMany] above max, and errors of visit unchanged. It uses memory for max entries at most.
func Walk(
	root *os.Root, max int,
	admit func(rel string, info fs.FileInfo) error,
	visit func(rel string, e fs.DirEntry) (enter bool, err error),
	failed func(rel string, err error),
) error {
	todo := []string{"."}
	for len(todo) > 0 {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		entries, err := read(root, dir, admit, max+1)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			failed(dir, err)
			continue
		}
		many := len(entries) > max
		entries = entries[:min(len(entries), max)]
		max -= len(entries)
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
		for _, e := range entries {
			rel := path.Join(dir, e.Name())
			enter, err := visit(rel, e)
			if err != nil {
				return err
			}
			if !enter || !e.IsDir() {
				continue
			}
			if strings.Count(rel, "/") >= MaxDepth-1 {
				failed(rel, fmt.Errorf("more than %d nested folders", MaxDepth))
				continue
			}
			todo = append(todo, rel)
		}
		if many {
			return ErrMany
		}
	}
	return nil
}

// read returns at most max entries of a folder.
func read(root *os.Root, dir string, admit func(rel string, info fs.FileInfo) error, max int) ([]fs.DirEntry, error) {
	f, err := root.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if admit != nil {
		info, err := f.Stat()
		if err == nil {
			err = admit(dir, info)
		}
		if err != nil {
			return nil, err
		}
	}
	entries, err := f.ReadDir(max)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return entries, nil
}
