package watch

import (
	"io/fs"
	"os"
	"time"
)

// same reports whether a file is as it was; nil is one that is not there.
func Same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Size() == b.Size() && a.Mode() == b.Mode() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// settled is how old a file's time must be to tell it from the next one's: clocks of file
// systems tick slowly, and what is written twice in one tick looks the same. One from the
// future never is.
const settled = 2 * time.Second

// fresh reports whether a file may have been written in the same tick of the clock as
// another version of it, so that its time proves nothing. One from the future always may.
func Fresh(info fs.FileInfo) bool { return time.Since(info.ModTime()) < settled }
