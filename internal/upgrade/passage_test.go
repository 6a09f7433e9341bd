package upgrade

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPassage passes files with descriptions, of all sizes, and packets that are not valid.
func TestPassage(t *testing.T) {
	if Supported != nil {
		t.Skipf("SKIPPED: %v", Supported)
	}
	var h Handoff
	parent, err := h.PassConnections()
	must(t, err)
	child, err := OpenPassage(h.Connections)
	must(t, err)
	defer child.Close()
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	for _, size := range []int{1, 1000, maxDescription} {
		must(t, parent.Send(bytes.Repeat([]byte{'x'}, size), w))
		description, f, err := child.Receive()
		must(t, err)
		if len(description) != size {
			t.Errorf("a description of %d bytes arrives with %d", size, len(description))
		}
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags %x, %v: a worker would inherit it", flags, err)
		}
		_, err = f.WriteString("y")
		must(t, err)
		f.Close()
	}
	if err := parent.Send(make([]byte, maxDescription+1), w); err == nil {
		t.Error("a description above the bound was sent")
	}
	// Packets without exactly one descriptor are errors, and the next one is received.
	fd := int(w.Fd())
	for _, rights := range [][]byte{nil, unix.UnixRights(fd, fd), unix.UnixRights(fd, fd, fd)} {
		_, _, err := parent.conn.WriteMsgUnix([]byte("x"), rights, nil)
		must(t, err)
		if _, f, err := child.Receive(); err == nil || errors.Is(err, io.EOF) || f != nil {
			t.Errorf("a packet with %d bytes of rights: %v, %v", len(rights), f, err)
		}
	}
	must(t, parent.Send([]byte("x"), w))
	w.Close()
	parent.Close()
	_, f, err := child.Receive()
	must(t, err)
	f.Close()
	if _, _, err := child.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	// Every descriptor was closed.
	if b, err := io.ReadAll(r); err != nil || string(b) != "yyy" {
		t.Errorf("the pipe has %q, %v", b, err)
	}
}
