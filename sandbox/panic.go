package sandbox

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// maxPanicFrames limits the frames of a Go panic in the host's log.
const maxPanicFrames = 16

// panicked returns the internal error for v, a recovered Go panic. Its text has the innermost frames and is for the
// host's log: the caller receives "internal error" alone. It must be called by the deferred function.
func panicked(doing string, v any) *object.Error {
	var pcs [4 * maxPanicFrames]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var at []string
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") && f.Function != "" {
			at = append(at, fmt.Sprintf("%s %s:%d", filepath.Base(f.Function), filepath.Base(f.File), f.Line))
		}
		if !more || len(at) == maxPanicFrames {
			break
		}
	}
	return &object.Error{Code: object.CodeInternal,
		Err: fmt.Errorf("%s: panic: %v; at %s", doing, v, strings.Join(at, " < "))}
}
