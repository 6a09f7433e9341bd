package host

import (
	"io/fs"
	"time"
)

// young reports whether a file was written just now, and perhaps not to its end. One from the
// future is not: it would be for as long as a clock has been set back.
func recentlyWritten(info fs.FileInfo) bool { return time.Since(info.ModTime()).Abs() < settleDelay }
