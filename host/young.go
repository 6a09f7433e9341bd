package host

import (
	"io/fs"
	"time"
)

// recentlyWritten reports whether a file was written within settleDelay and may be incomplete.
// A later time than that in the future does not count: after a clock was set back it would
// count for too long.
func recentlyWritten(info fs.FileInfo) bool { return time.Since(info.ModTime()).Abs() < settleDelay }
