package nonblock_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/socketpair"
)

func socket(t *testing.T) (s *nonblock.Socket, peer io.ReadWriteCloser) {
	t.Helper()
	other, file, err := socketpair.New()
	if err != nil {
		t.Fatal(err)
	}
	if s, err = nonblock.NewSocket(file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); other.Close() })
	return s, other
}

// receive reads from s until the end of the input.
func receive(s *nonblock.Socket) ([]byte, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	var got []byte
	var failed error
	p := make([]byte, 100_000)
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, ok, err := nonblock.Read(fd, p)
			if !ok {
				return false
			}
			got = append(got, p[:n]...)
			if failed = err; n == 0 || err != nil {
				return true
			}
		}
	})
	return got, errors.Join(err, failed)
}

// TestSocket sends several messages larger than a socket buffer, in both directions.
func TestSocket(t *testing.T) {
	s, peer := socket(t)
	sent := make([]byte, 5<<20)
	_, _ = rand.Read(sent)
	go func() { _, _ = io.Copy(peer, peer); peer.Close() }() // ends with the other side
	failed := make(chan error, 1)
	sizes := []int{1, 3 << 20, 100, len(sent) - 1 - 3<<20 - 100}
	go func() {
		rest := sent
		var failure error
		for _, n := range sizes {
			wrote, err := s.Write(rest[:n])
			if err == nil && wrote != n {
				err = io.ErrShortWrite
			}
			failure = errors.Join(failure, err)
			rest = rest[n:]
		}
		raw, err := s.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) {
				failure = errors.Join(failure, syscall.Shutdown(int(fd), syscall.SHUT_WR))
			})
		}
		failed <- errors.Join(failure, err)
	}()
	got, err := receive(s)
	if err := errors.Join(err, <-failed); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came back, different from the %d sent ones", len(got), len(sent))
	}
}

// TestSocketCloses: Close ends a wait for input and a wait for room.
func TestSocketCloses(t *testing.T) {
	s, peer := socket(t)
	read, written := make(chan error, 1), make(chan error, 1)
	go func() { _, err := receive(s); read <- err }()
	go func() { _, err := s.Write(make([]byte, 10<<20)); written <- err }()
	if _, err := io.ReadFull(peer, make([]byte, 1<<20)); err != nil { // so that the writer has begun
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, os.ErrClosed) {
		t.Errorf("reading: %v", err)
	}
	if err := <-written; !errors.Is(err, os.ErrClosed) {
		t.Errorf("writing: %v", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("writing to a closed socket: %v", err)
	}
	if _, err := io.Copy(io.Discard, peer); err != nil {
		t.Errorf("the peer: %v", err)
	}
}

// TestSocketClosesDuringWriteOfReader: the function that receives input may write and block. Close ends that too,
// with a peer that closes and one that does not.
func TestSocketClosesDuringWriteOfReader(t *testing.T) {
	for _, ends := range []bool{false, true} {
		s, peer := socket(t)
		raw, err := s.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		const much = 10 << 20
		read, closed := make(chan error, 1), make(chan error, 1)
		go func() {
			var failed error
			_ = raw.Read(func(uintptr) bool {
				_, failed = s.Write(make([]byte, much))
				return true
			})
			read <- failed
		}()
		if _, err := io.ReadFull(peer, make([]byte, 1<<20)); err != nil { // so that the reader writes
			t.Fatal(err)
		}
		go func() { closed <- s.Close() }()
		if ends {
			peer.Close()
		}
		for name, c := range map[string]<-chan error{"Close": closed, "the reader": read} {
			select {
			case err := <-c:
				if name == "the reader" && !errors.Is(err, os.ErrClosed) && !(ends && errors.Is(err, syscall.EPIPE)) {
					t.Errorf("%s: %v", name, err)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s has not ended", name)
			}
		}
	}
}

// TestSocketOfClosedPeer: input ends, and writing fails.
func TestSocketOfClosedPeer(t *testing.T) {
	s, peer := socket(t)
	if _, err := peer.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	if got, err := receive(s); string(got) != "last" || err != nil {
		t.Errorf("received %q, %v", got, err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing: %v", err)
	}
}
