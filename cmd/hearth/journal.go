package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
)

// envJournal is what the service manager sets to the device and inode of the journal's
// stream, where a service's output goes there.
const envJournal = "JOURNAL_STREAM"

// toJournal reports whether what is written to w goes to the system's journal. A variable
// that a child has inherited, and that means another stream, changes nothing.
//
// Source: systemd.exec(5), "$JOURNAL_STREAM".
func toJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv(envJournal) == fmt.Sprintf("%d:%d", st.Dev, st.Ino) //nolint:forbidigo // the one place; it decides nothing but the look of the log
}

// priorities are the levels as the journal has them, most urgent first.
//
// Source: sd-daemon(3).
var priorities = []struct {
	from   slog.Level
	prefix string
}{{slog.LevelError, "<3>"}, {slog.LevelWarn, "<4>"}, {slog.LevelInfo, "<6>"}, {slog.LevelDebug, "<7>"}}

// journal is a handler for the journal: each line begins with its priority, which the
// journal takes off and files it under, and has no time, which the journal knows.
type journal struct {
	by []slog.Handler // in the order of priorities; they differ in the prefix alone
}

// newJournal makes one of a kind of handler on w.
func newJournal(w io.Writer, opts slog.HandlerOptions, handler func(io.Writer, *slog.HandlerOptions) slog.Handler) *journal {
	opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	j, mu := &journal{}, new(sync.Mutex)
	for _, p := range priorities {
		j.by = append(j.by, handler(&prefixed{w: w, mu: mu, prefix: p.prefix}, &opts))
	}
	return j
}

// Enabled implements [slog.Handler].
func (j *journal) Enabled(ctx context.Context, l slog.Level) bool { return j.by[0].Enabled(ctx, l) }

// Handle implements [slog.Handler].
func (j *journal) Handle(ctx context.Context, r slog.Record) error {
	for i, p := range priorities {
		if r.Level >= p.from {
			return j.by[i].Handle(ctx, r)
		}
	}
	return j.by[len(j.by)-1].Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (j *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	return j.each(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements [slog.Handler].
func (j *journal) WithGroup(name string) slog.Handler {
	return j.each(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (j *journal) each(f func(slog.Handler) slog.Handler) *journal {
	out := &journal{}
	for _, h := range j.by {
		out.by = append(out.by, f(h))
	}
	return out
}

// prefixed writes each line, of which a handler writes one at a time, behind a prefix, and
// in one piece.
type prefixed struct {
	w      io.Writer
	mu     *sync.Mutex // guards w; all prefixes share it
	prefix string
}

func (p *prefixed) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := io.WriteString(p.w, p.prefix+strings.TrimSuffix(string(line), "\n")+"\n"); err != nil {
		return 0, err
	}
	return len(line), nil
}
