package nonblock_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/nonblock"
)

// pair returns a wrapped connection and its peer.
func pair(t *testing.T) (c, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if peer, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c = nonblock.Wrap(nc)
	t.Cleanup(func() { c.Close(); peer.Close() })
	if _, ok := c.(*nonblock.Conn); !ok {
		t.Fatalf("Wrap of a socket is a %T", c)
	}
	return c, peer
}

// TestLargeWrite sends more bytes than a socket buffer holds, in both directions.
func TestLargeWrite(t *testing.T) {
	c, peer := pair(t)
	sent := make([]byte, 16<<20)
	_, _ = rand.Read(sent)
	go func() { _, _ = io.Copy(peer, peer) }() // ends with the connection
	failed := make(chan error, 1)
	go func() {
		n, err := c.Write(sent)
		if n != len(sent) && err == nil {
			err = io.ErrShortWrite
		}
		failed <- err
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sent, got) {
		t.Error("the received bytes differ from the sent ones")
	}
}

func TestEndings(t *testing.T) {
	t.Run("the peer's close", func(t *testing.T) {
		c, peer := pair(t)
		peer.Close()
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("Read() = %d, %v; want io.EOF", n, err)
		}
	})
	t.Run("own close", func(t *testing.T) {
		c, _ := pair(t)
		read := make(chan error, 1)
		go func() { _, err := c.Read(make([]byte, 1)); read <- err }()
		c.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read() = %v, want net.ErrClosed", err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write() = %v, want net.ErrClosed", err)
		}
	})
	t.Run("a deadline", func(t *testing.T) {
		c, peer := pair(t)
		_ = c.SetReadDeadline(time.Unix(1, 0))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read() = %v, want os.ErrDeadlineExceeded", err)
		}
		_ = c.SetReadDeadline(time.Time{})
		_, _ = peer.Write([]byte("x"))
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("Read() after the deadline was removed = %d, %v", n, err)
		}
	})
	t.Run("half", func(t *testing.T) {
		c, peer := pair(t)
		if err := c.(*nonblock.Conn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the peer reads %v, want io.EOF", err)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	c, peer := pair(t)
	b := []byte("x")
	if n := testing.AllocsPerRun(100, func() {
		_, _ = c.Write(b)
		_, _ = peer.Read(b)
		_, _ = peer.Write(b)
		_, _ = c.Read(b)
	}); n != 0 {
		t.Errorf("a round trip allocates %v times", n)
	}
}
