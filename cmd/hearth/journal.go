package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
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

// journalSocket is where the journal takes entries with fields. A variable for tests.
//
// Source: systemd's "Native Journal Protocol".
var journalSocket = "/run/systemd/journal/socket"

// journal is a handler for the journal. What is logged is an entry with the line as its
// message, its priority, and each attribute as a field, HEARTH_TENANT for example, by which
// journalctl finds it. Where the journal's socket cannot be reached it is a line of the
// stream that the journal reads, which begins with its priority. Lines have no time, which the
// journal knows.
type journal struct {
	to     *journalOutput
	line   slog.Handler // writes into the output's line
	fields []byte       // of the attributes that all entries have
	group  string       // of those that follow, as a part of a field's name
}

// journalOutput is where entries go.
type journalOutput struct {
	mu     sync.Mutex // guards what follows
	stream io.Writer
	socket net.Conn // nil: there is none
	line   bytes.Buffer
	entry  []byte
}

// newJournal makes one of a kind of handler, for a stream that the journal reads.
func newJournal(w io.Writer, opts slog.HandlerOptions, handler func(io.Writer, *slog.HandlerOptions) slog.Handler) *journal {
	opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	to := &journalOutput{stream: w}
	if c, err := net.Dial("unixgram", journalSocket); err == nil { //nolint:noctx // a datagram socket of this machine
		to.socket = c
	}
	return &journal{to: to, line: handler(&to.line, &opts)}
}

// Enabled implements [slog.Handler].
func (j *journal) Enabled(ctx context.Context, l slog.Level) bool { return j.line.Enabled(ctx, l) }

// Handle implements [slog.Handler].
func (j *journal) Handle(ctx context.Context, r slog.Record) error {
	to := j.to
	to.mu.Lock()
	defer to.mu.Unlock()
	to.line.Reset()
	if err := j.line.Handle(ctx, r); err != nil {
		return err
	}
	line := bytes.TrimSuffix(to.line.Bytes(), []byte("\n"))
	if to.socket != nil {
		b := appendJournalField(to.entry[:0], "MESSAGE", line)
		b = appendJournalField(b, "PRIORITY", []byte{priority(r.Level)})
		b = appendJournalField(b, "SYSLOG_IDENTIFIER", []byte("hearth"))
		b = append(b, j.fields...)
		r.Attrs(func(a slog.Attr) bool { b = appendJournalAttr(b, j.group, a); return true })
		to.entry = b
		if _, err := to.socket.Write(b); err == nil {
			return nil
		}
		// It is too large, or the journal is being started anew.
	}
	_, err := fmt.Fprintf(to.stream, "<%c>%s\n", priority(r.Level), line)
	return err
}

// priority is a level as the journal has it.
//
// Source: sd-daemon(3).
func priority(l slog.Level) byte {
	switch {
	case l >= slog.LevelError:
		return '3'
	case l >= slog.LevelWarn:
		return '4'
	case l >= slog.LevelInfo:
		return '6'
	}
	return '7'
}

// WithAttrs implements [slog.Handler].
func (j *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := &journal{to: j.to, line: j.line.WithAttrs(attrs), fields: slices.Clone(j.fields), group: j.group}
	for _, a := range attrs {
		out.fields = appendJournalAttr(out.fields, j.group, a)
	}
	return out
}

// WithGroup implements [slog.Handler].
func (j *journal) WithGroup(name string) slog.Handler {
	return &journal{to: j.to, line: j.line.WithGroup(name), fields: j.fields, group: j.group + name + "_"}
}

// appendJournalAttr appends an attribute as a field, a group as one for each of its own.
func appendJournalAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "_"
		}
		for _, inner := range v.Group() {
			b = appendJournalAttr(b, group, inner)
		}
		return b
	}
	if a.Key == "" {
		return b
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, "hearth_"+group+a.Key)
	return appendJournalField(b, name, []byte(v.String()))
}

// appendJournalField appends a field: in a line, or, if the value has several, with its length
// before it.
func appendJournalField(b []byte, name string, value []byte) []byte {
	b = append(b, name...)
	if bytes.IndexByte(value, '\n') < 0 {
		b = append(b, '=')
	} else {
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	}
	return append(append(b, value...), '\n')
}
