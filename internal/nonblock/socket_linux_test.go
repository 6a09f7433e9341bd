package nonblock_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/socketpair"
)

// registeredEvents returns the events of a descriptor that each epoll of this process waits for, from /proc.
func registeredEvents(t *testing.T, fd uintptr) (events []uint32) {
	t.Helper()
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil || len(infos) == 0 {
		t.Skip("no /proc")
	}
	for _, name := range infos {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the descriptor of the folder itself
		}
		for line := range bytes.Lines(text) {
			var tfd, mask uint64
			if n, _ := fmt.Sscanf(string(line), "tfd: %d events: %x", &tfd, &mask); n == 2 && tfd == uint64(fd) {
				events = append(events, uint32(mask))
			}
		}
	}
	return events
}

func waitsForRoom(events []uint32) bool {
	return slices.ContainsFunc(events, func(e uint32) bool { return e&syscall.EPOLLOUT != 0 })
}

// TestSocketWaitsForInputOnly: no epoll waits for room in the socket, before and after writes that did not fit.
func TestSocketWaitsForInputOnly(t *testing.T) {
	other, file, err := socketpair.New()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	fd := file.Fd()
	s, err := nonblock.NewSocket(file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check := func(when string) {
		t.Helper()
		events := registeredEvents(t, fd)
		if waitsForRoom(events) {
			t.Errorf("%s it waits for %x", when, events)
		}
		if len(events) != 2 {
			t.Errorf("%s it is in %d epolls, want 2", when, len(events))
		}
	}
	check("at first")
	for range 2 {
		wrote := make(chan error, 1)
		go func() { _, err := s.Write(make([]byte, 4<<20)); wrote <- err }()
		for end := time.Now().Add(time.Minute); !waitsForRoom(registeredEvents(t, fd)); runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatal("no epoll waits for room after a write that did not fit")
			}
		}
		if _, err := io.CopyN(io.Discard, other, 4<<20); err != nil {
			t.Fatal(err)
		}
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		check("after much was written")
	}
}

// TestNoSocket: a file that cannot be polled is rejected, and no descriptor leaks.
func TestNoSocket(t *testing.T) {
	open := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(all)
	}
	before := open()
	for range 3 {
		f, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nonblock.NewSocket(f); !errors.Is(err, syscall.EPERM) {
			t.Errorf("error %v, want %v", err, syscall.EPERM)
		}
	}
	for range 3 {
		s, peer := socket(t)
		s.Close()
		peer.Close()
	}
	if after := open(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}
