// Package safewalk walks folders that somebody else may be changing meanwhile, and may have
// filled to harm who looks.
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

// MaxDepth bounds how deep folders lie in each other: opening one costs as many steps.
const MaxDepth = 32

// ErrMany says that there is more in a folder than was to be looked at.
var ErrMany = errors.New("there is more in it: the rest is not looked at")

// Walk calls visit for what lies in a folder and below, at most max files and folders, each
// folder's in the order of their names, and enters the folders for which it returns true. Paths
// are relative, with slashes. What is put in the place of a folder, such as a link, leads
// nowhere else than below root. admit, unless it is nil, looks at each folder once it is open, and
// its error says that the folder is not to be read. failed is told of each folder that is not or
// cannot be read, "." being root itself, but not of one that is gone.
//
// It returns [ErrMany] if there is more, or what visit returned. Memory is bounded by max, not
// by the folder.
func Walk(root *os.Root, max int, admit func(rel string, info fs.FileInfo) error, visit func(rel string, e fs.DirEntry) (enter bool, err error), failed func(rel string, err error)) error {
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
				failed(rel, fmt.Errorf("more than %d folders in each other", MaxDepth))
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
