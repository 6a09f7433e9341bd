package watch

import (
	"io/fs"
	"os"
	"time"
)

// Same reports whether two descriptions of a file show no change. nil describes a missing file.
func Same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Size() == b.Size() && a.Mode() == b.Mode() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// settledAge is the age at which a file's time identifies its version. Clocks of file systems tick slowly, and two
// writes within one tick have the same time. A time in the future never identifies a version.
const settledAge = 2 * time.Second

// Fresh reports whether a later write could have the same time as this one, so that the time is no proof of an
// unchanged file.
func Fresh(info fs.FileInfo) bool { return time.Since(info.ModTime()) < settledAge }
