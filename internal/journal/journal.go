// Package journal writes log records to systemd's journal, with their attributes as fields.
package journal

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

// envStream is the variable in which the service manager passes the device and inode of the journal's stream, if a
// service's output goes there.
const envStream = "JOURNAL_STREAM"

// Connected reports whether output to w goes to the journal. A process can inherit the variable with another
// output; that is not connected.
//
// Source: systemd.exec(5), "$JOURNAL_STREAM".
func Connected(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	stream := os.Getenv(envStream) //nolint:forbidigo // it decides only the format of the log
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// socketPath is the socket on which the journal receives entries with fields. A variable for tests.
//
// Source: systemd's "Native Journal Protocol".
var socketPath = "/run/systemd/journal/socket"

// Handler is a [slog.Handler] for the journal. Each record is an entry with a text line as its message, a priority,
// and one field for each attribute, such as HEARTH_TENANT, which journalctl can match. If the journal's socket does
// not receive the entry, the line goes to the stream that the journal reads, with its priority in front. Lines
// have no time: the journal adds it.
type Handler struct {
	out    *output
	line   slog.Handler // writes into out.line
	fields []byte       // encoded attributes of all entries
	group  string       // prefix of later fields
}

// output is the destination of entries.
type output struct {
	mu     sync.Mutex // guards the fields below
	stream io.Writer
	socket net.Conn // nil if the journal does not listen
	line   bytes.Buffer
	entry  []byte
}

// Format creates the handler that formats lines.
type Format = func(io.Writer, *slog.HandlerOptions) slog.Handler

// NewLogger returns the log of a process whose output is stream. If the journal reads stream, the log writes entries of
// the journal. Otherwise it writes lines to w, which is stream or a writer to it.
func NewLogger(stream, w io.Writer, opts slog.HandlerOptions, format Format) *slog.Logger {
	if Connected(stream) {
		return slog.New(NewHandler(stream, opts, format))
	}
	return slog.New(format(w, &opts))
}

// NewHandler returns a handler that writes to w, the stream that the journal reads. newText creates the handler
// that formats lines.
func NewHandler(w io.Writer, opts slog.HandlerOptions, newText Format) *Handler {
	opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	out := &output{stream: w}
	if c, err := net.Dial("unixgram", socketPath); err == nil { //nolint:noctx // a datagram socket of this machine
		out.socket = c
	}
	return &Handler{out: out, line: newText(&out.line, &opts)}
}

// Enabled implements [slog.Handler].
func (h *Handler) Enabled(ctx context.Context, l slog.Level) bool { return h.line.Enabled(ctx, l) }

// Handle implements [slog.Handler].
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	out := h.out
	out.mu.Lock()
	defer out.mu.Unlock()
	out.line.Reset()
	if err := h.line.Handle(ctx, r); err != nil {
		return err
	}
	line := bytes.TrimSuffix(out.line.Bytes(), []byte("\n"))
	if out.socket != nil {
		b := appendField(out.entry[:0], "MESSAGE", line)
		b = appendField(b, "PRIORITY", []byte{priority(r.Level)})
		b = appendField(b, "SYSLOG_IDENTIFIER", []byte("hearth"))
		b = append(b, h.fields...)
		r.Attrs(func(a slog.Attr) bool { b = appendAttr(b, h.group, a); return true })
		out.entry = b
		if _, err := out.socket.Write(b); err == nil {
			return nil
		}
		// The entry is too large for a datagram, or the journal restarts: the stream has no such limit.
	}
	_, err := fmt.Fprintf(out.stream, "<%c>%s\n", priority(r.Level), line)
	return err
}

// priority returns the journal's digit for a level.
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
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := &Handler{out: h.out, line: h.line.WithAttrs(attrs), fields: slices.Clone(h.fields), group: h.group}
	for _, a := range attrs {
		with.fields = appendAttr(with.fields, h.group, a)
	}
	return with
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{out: h.out, line: h.line.WithGroup(name), fields: h.fields, group: h.group + name + "_"}
}

// appendAttr appends an attribute as a field, and a group as one field for each member.
func appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "_"
		}
		for _, member := range v.Group() {
			b = appendAttr(b, group, member)
		}
		return b
	}
	if a.Key == "" {
		return b
	}
	return appendField(b, fieldName(group+a.Key), []byte(v.String()))
}

// fieldName returns the field of an attribute: capital letters, digits and underscores.
func fieldName(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, "hearth_"+key)
}

// appendField appends a field as NAME=value. A value with several lines is preceded by its length.
func appendField(b []byte, name string, value []byte) []byte {
	b = append(b, name...)
	if bytes.IndexByte(value, '\n') < 0 {
		b = append(b, '=')
	} else {
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	}
	return append(append(b, value...), '\n')
}
