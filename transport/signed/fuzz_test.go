package signed

import (
	"bytes"
	"io"
	"testing"
)

// FuzzServer sends arbitrary bytes of a client without a key to a server: the handshake fails, no byte is read as data,
// and the server sends its greeting only.
func FuzzServer(f *testing.F) {
	hello := append([]byte("HRTHMAC1\x05alice"), make([]byte, 32)...)
	f.Add(hello)
	f.Add(append(bytes.Clone(hello), make([]byte, 32)...))
	f.Add(append(append(bytes.Clone(hello), make([]byte, 32)...), 0, 0, 0, 1, 'x'))
	f.Add([]byte("HRTHMAC1\x00"))
	f.Add([]byte("HRTHMAC1\xff"))
	f.Add([]byte("PYRO"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		up, down := new(wire), new(wire)
		up.delivered.Write(sent)
		up.closed = true
		s := Server(&end{to: down, from: up}, lookup)
		if err := s.Handshake(); err == nil {
			t.Fatal("a client without a key was taken")
		}
		var got [16]byte
		if n, err := s.Read(got[:]); n > 0 || err == nil {
			t.Fatalf("%d bytes were read behind a failed handshake", n)
		}
		said := 0
		for _, b := range down.sent {
			said += len(b)
		}
		if most := len("HRTHMAC1") + 32 + 32; said > most {
			t.Errorf("the server sent %d bytes, more than its greeting of %d", said, most)
		}
	})
}

// FuzzRecords sends an attacker's bytes after a valid handshake: none of them is read as data.
func FuzzRecords(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x'}, uint8(0))
	f.Add(append([]byte{0, 0, 0, 1, 'x'}, make([]byte, 32)...), uint8(1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint8(2))
	f.Fuzz(func(t *testing.T, forged []byte, truly uint8) {
		c := newChannel(t, testKey)
		c.up.sent = nil
		var want []byte
		for i := range int(truly % 4) {
			p := bytes.Repeat([]byte{byte(i)}, i+1)
			if _, err := c.client.Write(p); err != nil {
				t.Fatal(err)
			}
			want = append(want, p...)
		}
		for _, b := range c.up.sent {
			c.up.delivered.Write(b)
		}
		c.up.delivered.Write(forged)
		c.up.closed = true
		var got []byte
		for {
			var p [64]byte
			n, err := c.server.Read(p[:])
			got = append(got, p[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("% x was read where % x was sent", got, want)
		}
	})
}

// FuzzCodec feeds records and forged bytes to a codec, in parts. The plaintext and the error are those of a connection
// that receives the same bytes.
func FuzzCodec(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x'}, []byte{1, 3}, false)
	f.Add([]byte{}, []byte{2}, true)
	f.Add(append([]byte{0, 0, 0, 1, 'x'}, make([]byte, 32)...), []byte{40, 7}, true)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, []byte{}, false)
	f.Fuzz(func(t *testing.T, forged, parts []byte, end bool) {
		c := newChannel(t, testKey)
		for i := range len(parts) % 4 {
			if _, err := c.client.Write(bytes.Repeat([]byte{byte(i)}, i*50+1)); err != nil {
				t.Fatal(err)
			}
		}
		if end {
			_ = c.client.out.end()
		}
		stream := append(bytes.Join(c.up.sent, nil), forged...)
		codec, _ := c.server.Codec()
		var got []byte
		var err error
		for left, i := stream, 0; len(left) > 0 && err == nil; i++ {
			n := len(left)
			if len(parts) > 0 {
				n = min(n, int(parts[i%len(parts)])+1)
			}
			got, err = codec.Feed(got, left[:n])
			left = left[n:]
		}
		if err == nil {
			err = codec.Cut()
		}
		c.up.delivered.Write(stream)
		c.up.closed = true
		want, errWant := io.ReadAll(c.server)
		if errWant == nil {
			errWant = io.EOF
		}
		if !bytes.Equal(got, want) || err.Error() != errWant.Error() {
			t.Errorf("%x, %v; want %x, %v", got, err, want, errWant)
		}
	})
}
