package link_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/sandbox/link"
)

// TestLinkOfSockets sends requests and replies in both directions over a socket pair, with frames below and above the
// size of the socket's buffer, while other goroutines poll. After a lost wake-up or a torn frame a request would have
// no reply.
func TestLinkOfSockets(t *testing.T) {
	const clients, each = 4, 40
	a, b, err := socketpair.Files()
	if err != nil {
		t.Fatal(err)
	}
	type end struct {
		socket  *nonblock.Socket
		in      *link.Reader
		out     *link.Writer
		answers [clients]chan []byte
		ended   chan error
	}
	var ends [2]*end
	for i, f := range []*os.File{a, b} {
		e := &end{ended: make(chan error, 1)}
		for n := range e.answers {
			e.answers[n] = make(chan []byte, 1)
		}
		if e.socket, err = nonblock.NewSocket(f); err != nil {
			t.Fatal(err)
		}
		e.out = link.NewWriter(e.socket)
		e.in, err = link.NewReader(e.socket, func(typ link.Type, id uint64, body []byte) error {
			body = bytes.Clone(body)
			if typ == link.Reply {
				e.answers[id] <- body
				return nil
			}
			go func() { // a reader must not write: both ends could block
				var f link.Encoder
				f.Begin(link.Reply, id)
				var err error
				if half := len(body) / 2; len(body) > link.Large {
					_, err = e.out.WriteParts(f.FramePrefix(len(body)), body[:half], body[half:])
				} else {
					f.Raw(body)
					_, err = e.out.Queue(f.Frame())
				}
				if err != nil {
					t.Error(err)
				}
			}()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = e
		go func() { e.ended <- e.in.Run(i == 0) }()
	}
	var all sync.WaitGroup
	for _, e := range ends {
		for n := range clients {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(n), each))
				for range each {
					body := bytes.Repeat([]byte{byte(random.Uint32())}, 1+random.IntN(50))
					if random.IntN(5) == 0 {
						body = bytes.Repeat(body, 1+random.IntN(10_000))
					}
					var f link.Encoder
					f.Begin(link.HostCall, uint64(n))
					if _, err := e.out.WriteParts(f.FramePrefix(len(body)), body); err != nil {
						t.Error(err)
						return
					}
					if random.IntN(2) == 0 {
						e.in.Poll()
					}
					if got := <-e.answers[n]; !bytes.Equal(got, body) { // blocks if a wake-up was lost
						t.Errorf("%d bytes came back, unequal to the %d that were sent", len(got), len(body))
						return
					}
				}
			})
		}
	}
	all.Wait()
	ends[0].socket.Close()
	if err := <-ends[0].ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("the end that was closed: %v", err)
	}
	if err := <-ends[1].ended; !errors.Is(err, io.EOF) {
		t.Errorf("the other end: %v", err)
	}
	ends[1].socket.Close()
}
