package loop

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// run returns a loop that runs until the test ends.
func run(t *testing.T) *Loop {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	go l.Run()
	t.Cleanup(l.Close)
	return l
}

// pair returns both ends of a TCP connection; the first one is adopted by the loop.
func pair(t *testing.T, l *Loop) (*Conn, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Adopt(nc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); client.Close() })
	return c, client.(*net.TCPConn)
}

func TestPostsRunInOrderAndWakeTheLoop(t *testing.T) {
	t.Parallel()
	l := run(t)
	var got []int
	done := make(chan struct{})
	for i := range 1000 {
		l.Post(func() {
			if got = append(got, i); len(got) == 1000 {
				close(done)
			}
		})
	}
	<-done
	for i, v := range got {
		if v != i {
			t.Fatalf("post %d ran as number %d", v, i)
		}
	}
	// A post of a post runs, too, although no event wakes the loop.
	again := make(chan struct{})
	l.Post(func() { l.Post(func() { close(again) }) })
	<-again
}

// TestGoroutineReadsAndWrites moves more than the buffers of a socket hold, in both directions at once.
func TestGoroutineReadsAndWrites(t *testing.T) {
	t.Parallel()
	c, client := pair(t, run(t))
	const size = 16 << 20
	sent := make([]byte, size)
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	var wg sync.WaitGroup
	move := func(w io.Writer) { _, err := w.Write(sent); check(t, err) }
	read := func(r io.Reader) {
		got := make([]byte, size)
		_, err := io.ReadFull(r, got)
		check(t, err)
		if !bytes.Equal(got, sent) {
			t.Error("other bytes arrived than were sent")
		}
	}
	wg.Go(func() { move(c) })
	wg.Go(func() { move(client) })
	wg.Go(func() { read(c) })
	wg.Go(func() { read(client) })
	wg.Wait()
	check(t, client.CloseWrite())
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("Read at the end = %v, want io.EOF", err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	c, client := pair(t, run(t))
	check(t, c.SetReadDeadline(time.Unix(1, 0)))
	_, err := client.Write([]byte("x"))
	check(t, err)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read after its deadline = %v, want ErrDeadlineExceeded", err)
	}
	check(t, c.SetReadDeadline(time.Time{}))
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("Read without a deadline = %d, %v", n, err)
	}
	// A deadline that is set while a goroutine waits ends the wait.
	failed := make(chan error)
	go func() { _, err := c.Read(make([]byte, 1)); failed <- err }()
	check(t, c.SetReadDeadline(time.Unix(1, 0)))
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("waiting Read = %v, want ErrDeadlineExceeded", err)
	}
	// So does the time itself.
	check(t, c.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read until its deadline = %v, want ErrDeadlineExceeded", err)
	}
}

// TestDeadlineSetInAttempt sets a new deadline in each attempt to read, as a reader with a timeout for the next part of
// a message does. An attempt follows an event, and not the change of the deadline.
func TestDeadlineSetInAttempt(t *testing.T) {
	t.Parallel()
	c, _ := pair(t, run(t))
	raw, err := c.SyscallConn()
	check(t, err)
	attempts := 0
	err = raw.Read(func(uintptr) bool {
		attempts++
		check(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
		return attempts == 1000
	})
	if attempts != 1 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d attempts, then %v; want 1, then the deadline", attempts, err)
	}
}

func TestCloseEndsWaits(t *testing.T) {
	t.Parallel()
	c, client := pair(t, run(t))
	failed := make(chan error)
	go func() { _, err := c.Read(make([]byte, 1)); failed <- err }()
	check(t, c.Close())
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("waiting Read = %v, want ErrClosed", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write = %v, want ErrClosed", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close = %v, want ErrClosed", err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the peer reads %v, want io.EOF", err)
	}
}

// echo is a handler that writes the bytes that it reads. After a byte 'g' a goroutine returns the next bytes, up to a
// 'p'.
type echo struct {
	c   *Conn
	end chan error
}

func (e *echo) Ready(bool) {
	var b [4096]byte
	for {
		n, ok, err := e.c.TryRead(b[:])
		switch {
		case !ok:
			return
		case err != nil || n == 0:
			e.c.Unpark()
			e.end <- err
			return
		}
		if _, err := e.c.TryWrite(b[:n]); err != nil {
			e.end <- err
		}
		if bytes.IndexByte(b[:n], 'g') >= 0 {
			e.c.Unpark()
			go e.goroutine()
			return
		}
	}
}

func (e *echo) goroutine() {
	var b [1]byte
	for {
		if _, err := e.c.Read(b[:]); err != nil {
			e.end <- err
			return
		}
		if _, err := e.c.Write(b[:]); err != nil {
			e.end <- err
			return
		}
		if b[0] == 'p' {
			e.c.Park(e)
			return
		}
	}
}

// TestParkAndUnpark moves a connection between its loop and goroutines while the peer sends: no byte is lost and none
// comes twice or in another order.
func TestParkAndUnpark(t *testing.T) {
	t.Parallel()
	l := run(t)
	var wg sync.WaitGroup
	for range 20 {
		c, client := pair(t, l)
		e := &echo{c: c, end: make(chan error, 2)}
		c.Park(e)
		wg.Go(func() {
			sent := make([]byte, 20_000)
			for i := range sent {
				sent[i] = "abcdefghijklmnopqrstuvwxyz"[rand.IntN(26)]
			}
			go func() {
				for rest := sent; len(rest) > 0; {
					n, err := client.Write(rest[:min(1+rand.IntN(8), len(rest))])
					check(t, err)
					rest = rest[n:]
				}
				check(t, client.CloseWrite())
			}()
			got := make([]byte, len(sent))
			_, err := io.ReadFull(client, got)
			check(t, err)
			if !bytes.Equal(got, sent) {
				t.Error("the echo differs from the sent bytes")
			}
			if err := <-e.end; err != nil && !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestReusedDescriptor closes a connection and opens another one, which usually has the same descriptor: events of the
// closed one do not reach it.
func TestReusedDescriptor(t *testing.T) {
	t.Parallel()
	l := run(t)
	for range 200 {
		c, client := pair(t, l)
		e := &echo{c: c, end: make(chan error, 2)}
		c.Park(e)
		_, err := client.Write([]byte("a"))
		check(t, err)
		_, err = io.ReadFull(client, make([]byte, 1))
		check(t, err)
		check(t, c.Close())
		if err := <-e.end; !errors.Is(err, net.ErrClosed) {
			t.Fatalf("a parked connection that was closed ended with %v, want ErrClosed", err)
		}
	}
}

// counter counts the calls of Ready of a pipe.
type counter struct {
	fd  int
	got chan int
}

func (c counter) Ready(bool) {
	n, _ := unix.Read(c.fd, make([]byte, 100))
	c.got <- n
}

func TestWatch(t *testing.T) {
	t.Parallel()
	l := run(t)
	var fds [2]int
	check(t, unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC))
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	c := counter{fds[0], make(chan int, 1)}
	stop, err := l.Watch(fds[0], c)
	check(t, err)
	_, err = unix.Write(fds[1], []byte("abc"))
	check(t, err)
	if n := <-c.got; n != 3 {
		t.Errorf("Ready read %d bytes, want 3", n)
	}
	stop()
	_, err = unix.Write(fds[1], []byte("abc"))
	check(t, err)
	round := make(chan struct{})
	l.Post(func() { l.Post(func() { close(round) }) })
	<-round
	select {
	case <-c.got:
		t.Error("Ready was called after stop")
	default:
	}
}

// TestEndRound checks that the end of a round comes after its handlers and posts, and before the loop sleeps.
func TestEndRound(t *testing.T) {
	t.Parallel()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	pending := 0 // owned by the loop
	ended := make(chan int, 1)
	l.EndRound = func() {
		if pending > 0 {
			ended <- pending
			pending = 0
		}
	}
	go l.Run()
	defer l.Close()
	for range 100 {
		l.Post(func() { pending++ })
		if n := <-ended; n != 1 {
			t.Fatalf("the round ended with %d posts, want 1", n)
		}
	}
}

// TestBlock blocks the loop: events and posts are handled meanwhile, by another goroutine, and the blocked one posts
// its result and ends. A short block changes nothing.
func TestBlock(t *testing.T) {
	t.Parallel()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	release, lost := make(chan struct{}), make(chan bool, 1)
	block := 0 // owned by the loop: 1 for a short block, 2 for a long one
	takenOver := 0
	l.TakenOver = func() { takenOver++ }
	l.EndRound = func() {
		kind := block
		block = 0
		switch kind {
		case 1:
			l.patience = time.Hour
			if !l.Block(func() {}) {
				t.Error("a short block lost the loop")
			}
		case 2:
			l.patience = time.Millisecond
			if !l.Block(func() { <-release }) {
				l.Post(func() { lost <- true })
			}
		}
	}
	go l.Run()
	defer l.Close()
	do := func(f func()) {
		done := make(chan struct{})
		l.Post(func() { f(); close(done) })
		<-done
	}
	for range 3 {
		do(func() { block = 1 })
	}
	do(func() { block = 2 })
	c, client := pair(t, l)
	e := &echo{c: c, end: make(chan error, 2)}
	c.Park(e)
	_, err = client.Write([]byte("x"))
	check(t, err)
	_, err = io.ReadFull(client, make([]byte, 1))
	check(t, err)
	close(release)
	<-lost
	do(func() {
		if takenOver != 1 {
			t.Errorf("the loop was taken over %d times, want 1", takenOver)
		}
	})
}

// TestBlocksOverlap blocks the loop, and then the goroutine that has taken it over. When the first block ends, its
// goroutine has lost the loop, although the other one is in Block. Two goroutines must never own the loop.
func TestBlocksOverlap(t *testing.T) {
	t.Parallel()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	const blocks = 3
	var entered, release [blocks]chan struct{}
	var results [blocks]chan bool
	for i := range blocks {
		entered[i], release[i], results[i] = make(chan struct{}), make(chan struct{}), make(chan bool, 1)
	}
	l.patience = time.Millisecond
	next := 0 // owned by the loop: the block of this round, from 1; 0: none
	l.EndRound = func() {
		i := next - 1
		next = 0
		if i >= 0 {
			results[i] <- l.Block(func() { close(entered[i]); <-release[i] })
		}
	}
	go l.Run()
	defer l.Close()
	for i := range blocks {
		l.Post(func() { next = i + 1 })
		<-entered[i] // after the goroutine of the block before has lost the loop
	}
	for i := range blocks - 1 {
		close(release[i])
		if <-results[i] {
			t.Errorf("block %d has the loop, which block %d took over", i, i+1)
		}
	}
	done := make(chan struct{})
	l.Post(func() { close(done) })
	close(release[blocks-1])
	<-results[blocks-1] // it may have lost the loop, too
	<-done
}
