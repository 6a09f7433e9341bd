package catalog

import (
	"io/fs"
	"time"
)

// SettleDelay is the grace period of a missing or half-written file.
const SettleDelay = time.Second

// RecentlyWritten reports whether a file was written within settleDelay and may be incomplete.
// A later time than that in the future does not count: after a clock was set back it would
// count for too long.
func RecentlyWritten(info fs.FileInfo) bool { return time.Since(info.ModTime()).Abs() < SettleDelay }
