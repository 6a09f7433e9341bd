package signed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// wire is one direction of a connection under an attacker's control. Written bytes wait until the attacker delivers the
// same or other bytes. A read without delivered bytes returns a timeout.
type wire struct {
	net.Conn  // nil: anything else is a mistake of the test
	sent      [][]byte
	delivered bytes.Buffer
	closed    bool
}

// end is the view of one side: it writes to one wire and reads from another.
type end struct {
	net.Conn
	to, from *wire
	closed   bool
}

func (e *end) Write(p []byte) (int, error) {
	if e.closed {
		return 0, net.ErrClosed
	}
	e.to.sent = append(e.to.sent, bytes.Clone(p))
	return len(p), nil
}

func (e *end) Read(p []byte) (int, error) {
	switch {
	case e.closed:
		return 0, net.ErrClosed
	case e.from.delivered.Len() > 0:
		return e.from.delivered.Read(p)
	case e.from.closed:
		return 0, io.EOF
	}
	return 0, os.ErrDeadlineExceeded
}

func (e *end) Close() error                     { e.closed = true; return nil }
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// channel is a connection after its handshake, with an attacker in the middle.
type channel struct {
	client, server *Conn
	up, down       *wire
}

func newChannel(t interface{ Fatal(...any) }, key Key) *channel {
	c := &channel{up: &wire{}, down: &wire{}}
	hello := append(append([]byte(Magic), 1, 'a'), random()...)
	k, err := derive(hello, append([]byte(Magic), random()...), key)
	if err != nil {
		t.Fatal(err)
	}
	c.client, c.server = &Conn{nc: &end{to: c.up, from: c.down}}, &Conn{nc: &end{to: c.down, from: c.up}}
	c.client.in.init(c.client.nc, k.serverRecord)
	c.client.out.init(c.client.nc, k.clientRecord)
	c.server.in.init(c.server.nc, k.clientRecord)
	c.server.out.init(c.server.nc, k.serverRecord)
	c.client.done.Store(true)
	c.server.done.Store(true)
	return c
}

// TestAttackerInTheMiddle simulates an attacker on two connections with one key. Random steps deliver, drop, repeat,
// reorder, alter, cut, splice and invent bytes. Each side reads a prefix of the bytes that the other side wrote. After
// the first difference that side reads no more bytes. It reads an orderly end only if the other side ended and nothing
// is missing.
func TestAttackerInTheMiddle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := Key{1, 2, 3}
		cs := []*channel{newChannel(t, key), newChannel(t, key)}
		// The four directions, each with its written and read bytes.
		type direction struct {
			w             *Conn
			r             *Conn
			line          *wire
			next          int // next byte of line.sent for honest delivery
			written, read []byte
			ended, eof    bool
			dead          bool
		}
		var ds []*direction
		for _, c := range cs {
			ds = append(ds, &direction{w: c.client, r: c.server, line: c.up},
				&direction{w: c.server, r: c.client, line: c.down})
		}
		pick := func(label string) *direction { return ds[rapid.IntRange(0, len(ds)-1).Draw(t, label)] }
		deliver := func(d *direction, b []byte) { d.line.delivered.Write(b) }
		number := uint32(0) // no two writes are alike, so that none can stand for another
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				d := pick("direction")
				number++
				p := binary.BigEndian.AppendUint32(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes"), number)
				if n, err := d.w.Write(p); err == nil {
					d.written = append(d.written, p[:n]...)
				}
			},
			"end": func(t *rapid.T) {
				d := pick("direction")
				before := len(d.line.sent)
				_ = d.w.CloseWrite()
				d.ended = d.ended || len(d.line.sent) > before
			},
			"deliver": func(t *rapid.T) {
				d := pick("direction")
				if d.next < len(d.line.sent) {
					deliver(d, d.line.sent[d.next])
					d.next++
				}
			},
			"drop": func(t *rapid.T) { d := pick("direction"); d.next = min(d.next+1, len(d.line.sent)) },
			"repeat": func(t *rapid.T) {
				d := pick("direction")
				if len(d.line.sent) > 0 {
					deliver(d, d.line.sent[rapid.IntRange(0, len(d.line.sent)-1).Draw(t, "record")])
				}
			},
			"splice": func(t *rapid.T) { // from the other direction, or the other connection
				from, to := pick("from"), pick("to")
				if len(from.line.sent) > 0 {
					deliver(to, from.line.sent[rapid.IntRange(0, len(from.line.sent)-1).Draw(t, "record")])
				}
			},
			"alter": func(t *rapid.T) {
				d := pick("direction")
				if d.next < len(d.line.sent) {
					b := bytes.Clone(d.line.sent[d.next])
					b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
					deliver(d, b)
					d.next++
				}
			},
			"part": func(t *rapid.T) {
				d := pick("direction")
				if d.next < len(d.line.sent) {
					b := d.line.sent[d.next]
					deliver(d, b[:rapid.IntRange(0, len(b)).Draw(t, "length")])
				}
			},
			"invent": func(t *rapid.T) {
				deliver(pick("direction"), rapid.SliceOfN(rapid.Byte(), 1, 80).Draw(t, "bytes"))
			},
			"cut": func(t *rapid.T) { pick("direction").line.closed = true },
			"read": func(t *rapid.T) {
				d := pick("direction")
				var b [64]byte
				n, err := d.r.Read(b[:])
				if d.dead && n > 0 {
					t.Fatalf("read %d bytes after the channel had failed", n)
				}
				d.read = append(d.read, b[:n]...)
				switch {
				case errors.Is(err, io.EOF):
					d.eof = true
				case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
					d.dead = true
				}
			},
			"": func(t *rapid.T) {
				for _, d := range ds {
					if !bytes.HasPrefix(d.written, d.read) {
						t.Fatalf("read %x, the written bytes are %x", d.read, d.written)
					}
					if d.eof && (!d.ended || len(d.read) != len(d.written)) {
						t.Fatalf("heard of an orderly end after %d of %d bytes, ended %t", len(d.read), len(d.written),
							d.ended)
					}
				}
			},
		})
	})
}

// TestEveryByteOfARecord alters, one by one, every byte of the second of three records:
// the first is read, nothing else ever is, and the connection is closed.
func TestEveryByteOfARecord(t *testing.T) {
	honest := newChannel(t, Key{1})
	for _, p := range []string{"first", "second", "third"} {
		if _, err := honest.client.Write([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	size := len(honest.up.sent[1])
	if want := lengthBytes + len("second") + macBytes; size != want {
		t.Fatalf("a record has %d bytes, want %d", size, want)
	}
	for i := range size {
		for _, flip := range []byte{1, 0x80} {
			c := newChannel(t, Key{1})
			for _, p := range []string{"first", "second", "third"} {
				if _, err := c.client.Write([]byte(p)); err != nil {
					t.Fatal(err)
				}
			}
			c.up.sent[1][i] ^= flip
			for _, b := range c.up.sent {
				c.up.delivered.Write(b)
			}
			c.up.closed = true // a length that promises more ends here
			got, err := io.ReadAll(c.server)
			if string(got) != "first" || !errors.Is(err, ErrIntegrity) {
				t.Errorf("byte %d ^ %#x: read %q and %v, want the first record and ErrIntegrity", i, flip, got, err)
			}
			if _, err := c.server.Read(make([]byte, 1)); !errors.Is(err, ErrIntegrity) {
				t.Errorf("byte %d: the failure is not final: %v", i, err)
			}
			if _, err := c.server.Write([]byte("x")); err == nil {
				t.Errorf("byte %d: the other direction continues", i)
			}
		}
	}
}

// TestCutAtEveryLength ends the stream after each number of bytes: only a stream with its
// last record ends in order.
func TestCutAtEveryLength(t *testing.T) {
	record := lengthBytes + 3 + macBytes
	whole := 2*record + lengthBytes + macBytes
	for n := range whole + 1 {
		c := newChannel(t, Key{1})
		for _, p := range []string{"one", "two"} {
			if _, err := c.client.Write([]byte(p)); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.client.out.end()
		c.up.delivered.Write(slices.Concat(c.up.sent...)[:n])
		c.up.closed = true
		got, err := io.ReadAll(c.server)
		if want := "onetwo"[:min(n/record, 2)*3]; string(got) != want {
			t.Errorf("cut after %d bytes: read %q, want %q", n, got, want)
		}
		if n == whole && err != nil || n < whole && !errors.Is(err, ErrIntegrity) {
			t.Errorf("cut after %d of %d bytes: %v", n, whole, err)
		}
	}
}

// TestDeadlineInMidRecord: the received part of a record is not lost.
func TestDeadlineInMidRecord(t *testing.T) {
	c := newChannel(t, Key{1})
	if _, err := c.client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	record := c.up.sent[0]
	for i := range len(record) {
		if n, err := c.server.Read(make([]byte, 9)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("after %d bytes: Read() = %d, %v", i, n, err)
		}
		c.up.delivered.Write(record[i : i+1])
	}
	b := make([]byte, 9)
	if n, err := c.server.Read(b); string(b[:n]) != "hello" || err != nil {
		t.Errorf("Read() = %q, %v", b[:n], err)
	}
}
