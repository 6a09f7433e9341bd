package hangup_test

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/internal/hangup"
)

// connect returns the accepted end of a connection and its peer.
func connect(t *testing.T, network string) (socket syscall.Conn, peer net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if peer, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); peer.Close() })
	return nc.(syscall.Conn), peer
}

// watch registers a socket and returns its events.
func watch(t *testing.T, w *hangup.Watcher, socket syscall.Conn) <-chan hangup.Event {
	t.Helper()
	events := make(chan hangup.Event, 8)
	remove, err := w.Add(socket, func(e hangup.Event) { events <- e })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	return events
}

func newWatcher(t *testing.T) *hangup.Watcher {
	t.Helper()
	w, err := hangup.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// TestTCP: a FIN is HalfClosed for each of its causes. Bytes to a peer that has closed bring Gone.
func TestTCP(t *testing.T) {
	w := newWatcher(t)
	for name, end := range map[string]func(*net.TCPConn) error{
		"close":                     func(c *net.TCPConn) error { return c.Close() },
		"shutdown of both and open": func(c *net.TCPConn) error { c.CloseRead(); return c.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			socket, peer := connect(t, "tcp")
			events := watch(t, w, socket)
			if err := end(peer.(*net.TCPConn)); err != nil {
				t.Fatal(err)
			}
			if e := <-events; e != hangup.HalfClosed {
				t.Fatalf("event %v, want HalfClosed", e)
			}
			if _, err := socket.(net.Conn).Write([]byte("P")); err != nil {
				t.Fatal(err)
			}
			if e := <-events; e != hangup.Gone {
				t.Fatalf("event %v, want Gone", e)
			}
		})
	}
	t.Run("shutdown of writing", func(t *testing.T) {
		socket, peer := connect(t, "tcp")
		events := watch(t, w, socket)
		if err := peer.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if e := <-events; e != hangup.HalfClosed {
			t.Fatalf("event %v, want HalfClosed", e)
		}
		if _, err := socket.(net.Conn).Write([]byte("P")); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-events:
			t.Fatalf("event %v of a peer that reads", e)
		default:
		}
		if _, err := socket.(net.Conn).Write([]byte("unread")); err != nil {
			t.Fatal(err)
		}
		peer.Close()
		for e := range events { // the kernel may report the half-closed state again
			if e == hangup.Gone {
				break
			}
		}
	})
	t.Run("reset", func(t *testing.T) {
		socket, peer := connect(t, "tcp")
		events := watch(t, w, socket)
		if err := peer.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		peer.Close()
		if e := <-events; e != hangup.Gone {
			t.Fatalf("event %v, want Gone", e)
		}
	})
}

// TestUnix: a Unix socket distinguishes a peer that has closed from one that still reads.
func TestUnix(t *testing.T) {
	w := newWatcher(t)
	socket, peer := connect(t, "unix")
	events := watch(t, w, socket)
	if err := peer.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e != hangup.HalfClosed {
		t.Fatalf("event %v, want HalfClosed", e)
	}
	peer.Close()
	if e := <-events; e != hangup.Gone {
		t.Fatalf("event %v, want Gone", e)
	}
}

// TestEarlierEnd: an end before Add is reported, also with unread bytes.
func TestEarlierEnd(t *testing.T) {
	w := newWatcher(t)
	socket, peer := connect(t, "tcp")
	if _, err := peer.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	if e := <-watch(t, w, socket); e != hangup.HalfClosed {
		t.Fatalf("event %v, want HalfClosed", e)
	}
}

// TestRemoved: no function is called after remove, and numbers are not confused.
func TestRemoved(t *testing.T) {
	w := newWatcher(t)
	removed, first := connect(t, "tcp")
	socket, second := connect(t, "tcp")
	remove, err := w.Add(removed, func(e hangup.Event) { t.Errorf("event %v of a removed socket", e) })
	if err != nil {
		t.Fatal(err)
	}
	events := watch(t, w, socket)
	remove()
	first.Close()
	second.Close()
	if e := <-events; e != hangup.HalfClosed {
		t.Fatalf("event %v, want HalfClosed", e)
	}
}

func TestErrors(t *testing.T) {
	w := newWatcher(t)
	socket, _ := connect(t, "tcp")
	socket.(net.Conn).Close()
	if _, err := w.Add(socket, nil); err == nil {
		t.Error("a closed socket was registered")
	}
	socket, _ = connect(t, "tcp")
	w.Close()
	if _, err := w.Add(socket, nil); err == nil {
		t.Error("a closed watcher accepts a socket")
	}
}
