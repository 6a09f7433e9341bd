package main_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/transport/signed"
)

// nextPiece reads the next message of an HMAC channel, given how many bytes came before:
// a hello (of a client whose key id has seven characters), a proof, a record.
func nextPiece(src io.Reader, fromClient bool, at int) ([]byte, error) {
	hello := 8 + 32 + 32
	if fromClient {
		hello = 8 + 1 + 7 + 32
	}
	size := 4
	switch {
	case at == 0:
		size = hello
	case fromClient && at == hello:
		size = 32
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(src, b); err != nil || size != 4 {
		return b, err
	}
	b = append(b, make([]byte, int(binary.BigEndian.Uint32(b))+32)...)
	_, err := io.ReadFull(src, b[4:])
	return b, err
}

// relay forwards the messages between a client and the host. hook gets each message with its position in the stream of
// its direction, and returns the bytes to forward.
func relay(t *testing.T, to string, hook func(fromClient bool, at int, b []byte) []byte) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	var mu sync.Mutex // hook runs once at a time
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			pump := func(dst, src net.Conn, fromClient bool) {
				defer dst.Close()
				defer src.Close()
				for at := 0; ; {
					piece, err := nextPiece(src, fromClient, at)
					if err != nil {
						return
					}
					size := len(piece)
					mu.Lock()
					piece = hook(fromClient, at, piece)
					mu.Unlock()
					if _, err := dst.Write(piece); err != nil {
						return
					}
					at += size
				}
			}
			go pump(s, c, true)
			go pump(c, s, false)
		}
	}()
	return l.Addr().String(), func() { l.Close() }
}

func (h *identityHost) keyOf(file, id string) signed.Key {
	h.t.Helper()
	p := client.Profile{Address: "x:1", Channel: "hmac", Key: filepath.Join(h.dir, file)}
	var cfg client.Config
	check(h.t, p.Apply(&cfg))
	if cfg.KeyID != id {
		h.t.Fatalf("the first key of %s is %s, want %s", file, cfg.KeyID, id)
	}
	return cfg.Key
}

// counted returns the number of calls of the counter, by a direct call.
func (h *identityHost) counted() any {
	h.t.Helper()
	c, err := h.client(portSigned, client.Profile{Channel: "hmac", Key: "alice.key.txt"})
	check(h.t, err)
	defer c.Close()
	v, err := c.Object("demo.counter").Get(h.t.Context(), "total")
	check(h.t, err)
	return v
}

// TestEveryByteOnTheWay changes, one connection each, every byte of the handshake and of
// the first records of a call, both ways. No changed call is executed twice or in another
// form, and a changed answer is never believed.
func TestEveryByteOnTheWay(t *testing.T) {
	h := startIdentityHost(t)
	key := h.keyOf("alice.key.txt", "alice-2")
	var mu sync.Mutex
	var up, down int
	sizes := map[bool]int{} // of the messages up to the reply; a goodbye follows
	run := func(fromClient bool, at int) (any, error) {
		addr, stop := relay(t, h.ports[portSigned], func(from bool, pos int, b []byte) []byte {
			mu.Lock()
			sizes[from] = max(sizes[from], pos+len(b))
			mu.Unlock()
			if i := at - pos; from == fromClient && i >= 0 && i < len(b) {
				b[i] ^= 0x04
			}
			return b
		})
		defer stop()
		c, err := client.New(client.Config{Address: addr, KeyID: "alice-2", Key: key, Timeout: 2 * time.Second})
		check(t, err)
		defer c.Close()
		v, err := c.Object("demo.counter").Call(t.Context(), "add", 1)
		mu.Lock()
		defer mu.Unlock()
		if at < 0 {
			up, down = sizes[true], sizes[false]
		}
		return v, err
	}
	if v, err := run(true, -1); err != nil {
		t.Fatalf("nothing changed: %v, %v", v, err)
	}
	if up < 200 || down < 200 {
		t.Fatalf("only %d and %d bytes passed", up, down)
	}
	before := h.counted().(int64)
	for at := range up {
		if v, err := run(true, at); err == nil {
			t.Errorf("byte %d to the host was changed, and the call was answered with %v", at, v)
		}
	}
	if after := h.counted().(int64); after != before {
		t.Errorf("the counter went from %d to %d by calls that were changed on their way", before, after)
	}
	for at := range down {
		if v, err := run(false, at); err == nil {
			t.Errorf("byte %d of the host's answer was changed, and %v was believed", at, v)
		}
	}
}

// TestReplayAndSplice sends recorded bytes to the host: a whole connection, a repeated record, a record of another
// connection, records in another order, and the host's own records.
func TestReplayAndSplice(t *testing.T) {
	h := startIdentityHost(t)
	key := h.keyOf("alice.key.txt", "alice-2")
	record := func() ([][]byte, [][]byte) {
		var mu sync.Mutex
		var up, down [][]byte
		addr, stop := relay(t, h.ports[portSigned], func(from bool, _ int, b []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			if from {
				up = append(up, bytes.Clone(b))
			} else {
				down = append(down, bytes.Clone(b))
			}
			return b
		})
		defer stop()
		c, err := client.New(client.Config{Address: addr, KeyID: "alice-2", Key: key, Timeout: 10 * time.Second})
		check(t, err)
		defer c.Close()
		for range 2 {
			_, err = c.Object("demo.counter").Call(t.Context(), "add", 1)
			check(t, err)
		}
		mu.Lock() // a goodbye may be on its way
		defer mu.Unlock()
		return slices.Clone(up), slices.Clone(down)
	}
	up, down := record()
	if len(up) < 5 {
		t.Fatalf("%d pieces recorded, want hello, proof, connect and two calls", len(up))
	}
	before := h.counted()
	ended := func(what string, nc net.Conn) {
		t.Helper()
		_ = nc.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the host keeps the connection", what)
		}
		nc.Close()
	}
	nc, err := net.Dial("tcp", h.ports[portSigned])
	check(t, err)
	for _, b := range up {
		_, _ = nc.Write(b)
	}
	ended("the whole connection again", nc)
	nc, err = net.Dial("tcp", h.ports[portSigned])
	check(t, err)
	_, _ = nc.Write(down[0])
	ended("the host's own hello", nc)

	// The rest is done to honest connections.
	for what, spoil := range map[string]func(n int, b []byte) []byte{
		"the record again":                 func(n int, b []byte) []byte { return append(bytes.Clone(b), b...) },
		"a record of another connection":   func(n int, b []byte) []byte { return up[min(n, len(up)-1)] },
		"the host's own records":           func(n int, b []byte) []byte { return down[len(down)-1] },
		"a record left out, then the next": func(n int, b []byte) []byte { return nil },
	} {
		n := -1
		addr, stop := relay(t, h.ports[portSigned], func(from bool, _ int, b []byte) []byte {
			if !from {
				return b
			}
			n++
			if n == 3 { // hello, proof, connect, and now the call
				return spoil(n, b)
			}
			return b
		})
		c, err := client.New(client.Config{Address: addr, KeyID: "alice-2", Key: key, Timeout: 2 * time.Second,
			MaxConns: 1})
		check(t, err)
		s, err := c.Session(t.Context())
		check(t, err)
		_, first := s.Object("demo.counter").Call(t.Context(), "get_nothing") // the call that is spoilt
		_, second := s.Object("demo.counter").Call(t.Context(), "get_nothing")
		var re *client.RemoteError
		if errors.As(second, &re) || second == nil {
			t.Errorf("%s: the connection continues: %v, %v", what, first, second)
		}
		s.Close()
		c.Close()
		stop()
	}
	if after := h.counted(); after != before {
		t.Errorf("the counter went from %v to %v", before, after)
	}
}

// TestUnknownKeyLooksLikeAWrongOne compares the messages of the host to a client with a known key id and a wrong key,
// and to a client with an unknown id of the same length.
func TestUnknownKeyLooksLikeAWrongOne(t *testing.T) {
	h := startIdentityHost(t)
	say := func(id string) (sizes []int) {
		nc, err := net.Dial("tcp", h.ports[portSigned])
		check(t, err)
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = nc.Write([]byte(signed.Magic + string(rune(len(id))) + id + strings.Repeat("n", 32)))
		check(t, err)
		answer := make([]byte, 72)
		_, err = io.ReadFull(nc, answer)
		check(t, err)
		if string(answer[:8]) != signed.Magic {
			t.Errorf("%s: the answer begins with %q", id, answer[:8])
		}
		_, _ = nc.Write(make([]byte, 32))
		rest, _ := io.ReadAll(nc)
		return []int{len(answer), len(rest)}
	}
	known, unknown := say("alice-2"), say("alice-9")
	if fmt.Sprint(known) != fmt.Sprint(unknown) || known[1] != 0 {
		t.Errorf("known id: %v, unknown id: %v", known, unknown)
	}
}
