package signed

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

var testKey = Key{1, 2, 3, 4}

func lookup(id string) (Key, bool) { return testKey, id == "alice" }

// handshake runs both sides and returns their errors. hook may change the bytes on the wire.
func handshake(t *testing.T, id string, key Key, hook func(fromClient bool, n int, b []byte) []byte) (client,
	server *Conn, cerr, serr error) {
	t.Helper()
	c1, c2 := net.Pipe()
	s1, s2 := net.Pipe()
	client, server = Client(c1, id, key), Server(s1, lookup)
	var relays sync.WaitGroup
	relay := func(to, from net.Conn, fromClient bool) {
		relays.Go(func() {
			defer to.Close()
			buf := make([]byte, 4096)
			for n := 0; ; n++ {
				got, err := from.Read(buf)
				if err != nil {
					return
				}
				b := buf[:got]
				if hook != nil {
					b = hook(fromClient, n, b)
				}
				if _, err := to.Write(b); err != nil {
					return
				}
			}
		})
	}
	relay(s2, c2, true)
	relay(c2, s2, false)
	t.Cleanup(func() {
		c1.Close()
		s1.Close()
		c2.Close()
		s2.Close()
		relays.Wait()
	})
	done := make(chan error)
	go func() {
		err := server.Handshake()
		if err != nil {
			s1.Close()
		}
		done <- err
	}()
	cerr = client.Handshake()
	if cerr != nil {
		c1.Close()
		c2.Close()
	}
	return client, server, cerr, <-done
}

func TestBothSidesProve(t *testing.T) {
	client, server, cerr, serr := handshake(t, "alice", testKey, nil)
	if cerr != nil || serr != nil {
		t.Fatal(cerr, serr)
	}
	if client.KeyID() != "alice" || server.KeyID() != "alice" {
		t.Errorf("key ids %q, %q", client.KeyID(), server.KeyID())
	}
	big := bytes.Repeat([]byte("0123456789"), 50000) // several records
	go func() {
		_, _ = client.Write(big)
		_ = client.Close()
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d of %d bytes arrived, %v", len(got), len(big), err)
	}
}

func TestHandshakeRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, id string
		key      Key
	}{
		{"another key", "alice", Key{9}},
		{"an unknown id", "mallory", testKey},
		{"an unknown id and another key", "mallory", Key{9}},
		{"an id that drives a terminal", "\x1b]0;x\a\nlevel=INFO \u202e" + strings.Repeat("\xff", 40), testKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, server, cerr, serr := handshake(t, tc.id, tc.key, nil)
			if !errors.Is(cerr, ErrProof) || serr == nil || server.KeyID() != "" {
				t.Fatalf("client: %v; server: %v, key id %q", cerr, serr, server.KeyID())
			}
			// The server's log has the key id, whether such a key exists or not.
			said := serr.Error()
			want := fmt.Sprintf("HMAC channel: key id %+q: unknown, or the client has another key for it", tc.id)
			if !strings.HasPrefix(said, want) || len(said) > 400 ||
				strings.ContainsFunc(said, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("server: %q (%d bytes), want plain text that begins with %q", said, len(said), want)
			}
		})
	}
}

// TestForgedClientProof simulates an attacker that ignores the server's proof: unknown and known ids get the same
// answer and the same end.
func TestForgedClientProof(t *testing.T) {
	for _, id := range []string{"alice", "mallory"} {
		a, b := net.Pipe()
		defer a.Close()
		done := make(chan error, 1)
		s := Server(b, lookup)
		go func() { done <- s.Handshake() }()
		hello := append([]byte(Magic), byte(len(id)))
		hello = append(append(hello, id...), random()...)
		_, _ = a.Write(hello)
		answer := make([]byte, len(Magic)+nonceBytes+macBytes)
		if _, err := io.ReadFull(a, answer); err != nil {
			t.Fatal(err)
		}
		_, _ = a.Write(make([]byte, macBytes))
		if err := <-done; !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v, want ErrProof", id, err)
		}
		if n, err := a.Read(answer); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the forged proof %d bytes and %v, want the end", id, n, err)
		}
	}
}

// TestEveryByteOfTheHandshake alters each byte of each message in turn: neither side
// accepts the channel. (The client does if only its own proof was altered; its next read fails.)
func TestEveryByteOfTheHandshake(t *testing.T) {
	sizes := map[bool][]int{
		true:  {len(Magic) + 1 + len("alice") + nonceBytes, macBytes},
		false: {len(Magic) + nonceBytes + macBytes},
	}
	for fromClient, messages := range sizes {
		for n, size := range messages {
			for i := range size {
				t.Run(fmt.Sprintf("client %t, message %d, byte %d", fromClient, n, i), func(t *testing.T) {
					client, server, cerr, serr := handshake(t, "alice", testKey,
						func(from bool, k int, b []byte) []byte {
							if from == fromClient && k == n {
								if len(b) != size {
									t.Errorf("message of %d bytes, want %d", len(b), size)
								}
								flip := byte(0x10)
								if fromClient && n == 0 && i == len(Magic) {
									flip = 0x04 // a shorter id; for a longer one the server would wait
								}
								b[i] ^= flip
							}
							return b
						})
					if serr == nil || server.KeyID() != "" {
						t.Errorf("the server accepts it: %v", serr)
					}
					if cerr == nil {
						if n != 1 {
							t.Error("the client accepts it")
						}
						if _, err := client.Read(make([]byte, 1)); err == nil {
							t.Error("the client read something")
						}
					}
				})
			}
		}
	}
}

// TestReplayedHandshake plays a recorded client to the server: its nonce is another now.
func TestReplayedHandshake(t *testing.T) {
	var recorded [][]byte
	if _, _, cerr, serr := handshake(t, "alice", testKey, func(from bool, _ int, b []byte) []byte {
		if from {
			recorded = append(recorded, bytes.Clone(b))
		}
		return b
	}); cerr != nil || serr != nil {
		t.Fatal(cerr, serr)
	}
	a, b := net.Pipe()
	defer a.Close()
	done := make(chan error, 1)
	go func() { done <- Server(b, lookup).Handshake() }()
	_, _ = a.Write(recorded[0])
	_, _ = io.ReadFull(a, make([]byte, len(Magic)+nonceBytes+macBytes))
	_, _ = a.Write(recorded[1])
	if err := <-done; !errors.Is(err, ErrProof) {
		t.Errorf("a replayed handshake: %v, want ErrProof", err)
	}
}

// TestReflectedHandshake returns the client's bytes to it: the client must not accept its own hello or proof.
func TestReflectedHandshake(t *testing.T) {
	a, b := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- Client(a, strings.Repeat("x", 31), testKey).Handshake() }()
	hello := make([]byte, len(Magic)+1+31+nonceBytes)
	_, _ = io.ReadFull(b, hello)
	go func() { _, _ = b.Write(append(hello, hello...)) }()
	if err := <-done; !errors.Is(err, ErrProof) {
		t.Errorf("the reflected hello: %v, want ErrProof", err)
	}
	b.Close()
}

func TestSomethingElse(t *testing.T) {
	for _, hello := range []string{
		"PYRO\x01\xf6aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "HRTHMAC2\x01a" + strings.Repeat("n", 32),
		"HRTHMAC1\x00" + strings.Repeat("n", 32), "HRTHMAC1\x41" + strings.Repeat("n",
			97), "HRTHMAC1", "HRTHMAC1\x05ali",
	} {
		a, b := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- Server(b, lookup).Handshake() }()
		go func() { _, _ = a.Write([]byte(hello)); a.Close() }()
		if err := <-done; err == nil || errors.Is(err, ErrProof) {
			t.Errorf("%q: %v", hello, err)
		}
	}
}

// TestKeysDoNotPrint tries every way to print that there is.
func TestKeysDoNotPrint(t *testing.T) {
	k := Key([]byte("SECRETSECRETSECRETSECRETSECRET!!"))
	c := Client(nil, "alice", k)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k, "ptr", &k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k, "ptr", &k)
	out := fmt.Sprintf("%v %+v %#v %s %x %d %q %v", k, k, k, k, k, k, k, &k) + log.String() + fmt.Sprint(c.key)
	if strings.Contains(out, "SECRET") || strings.Contains(out, "83 69 67") ||
		strings.Contains(strings.ToLower(out), hex.EncodeToString([]byte("SEC"))) {
		t.Errorf("a key printed itself: %s", out)
	}
}

// TestWritersTakeTurns has many goroutines write to one channel: each write arrives whole.
func TestWritersTakeTurns(t *testing.T) {
	client, server, cerr, serr := handshake(t, "alice", testKey, nil)
	if cerr != nil || serr != nil {
		t.Fatal(cerr, serr)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				_, _ = client.Write(bytes.Repeat([]byte{byte('a' + i)}, 10))
			}
		})
	}
	go func() { wg.Wait(); client.Close() }()
	got, err := io.ReadAll(server)
	if err != nil || len(got) != 8*50*10 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for i := 0; i < len(got); i += 10 {
		if strings.Trim(string(got[i:i+10]), string(got[i])) != "" {
			t.Fatalf("mixed writes: %q", got[i:i+10])
		}
	}
}

func benchPair(b *testing.B, wrap func(net.Conn, bool) net.Conn) (client, server net.Conn) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close(); s.Close() })
	return wrap(c, false), wrap(s, true)
}

// BenchmarkRecord measures the cost of the channel for a small message in one direction.
func BenchmarkRecord(b *testing.B) {
	c := newChannel(b, testKey)
	msg, buf := make([]byte, 100), make([]byte, 200)
	c.client.nc = &end{to: c.up, from: c.down}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.client.Write(msg); err != nil {
			b.Fatal(err)
		}
		c.up.delivered.Write(c.up.sent[0])
		c.up.sent = c.up.sent[:0]
		if n, err := c.server.Read(buf); n != len(msg) || err != nil {
			b.Fatal(n, err)
		}
	}
}

// selfSigned returns the configurations of both ends of a TLS connection.
func selfSigned(b *testing.B) (server, client *tls.Config) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		b.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// BenchmarkPingPong is a small message there and back over loopback TCP, as it is, in the
// channel, and in TLS.
func BenchmarkPingPong(b *testing.B) {
	serverTLS, clientTLS := selfSigned(b)
	for name, wrap := range map[string]func(net.Conn, bool) net.Conn{
		"plain": func(nc net.Conn, _ bool) net.Conn { return nc },
		"hmac": func(nc net.Conn, server bool) net.Conn {
			if server {
				return Server(nc, lookup)
			}
			return Client(nc, "alice", testKey)
		},
		"tls": func(nc net.Conn, server bool) net.Conn {
			if server {
				return tls.Server(nc, serverTLS)
			}
			return tls.Client(nc, clientTLS)
		},
	} {
		b.Run(name, func(b *testing.B) {
			c, s := benchPair(b, wrap)
			go func() { _, _ = io.Copy(struct{ io.Writer }{s}, s) }()
			msg := make([]byte, 100)
			for b.Loop() {
				if _, err := c.Write(msg); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUnknownID compares how long a server takes to answer a known id with a wrong
// key and an unknown id: an attacker must not see a difference.
func BenchmarkUnknownID(b *testing.B) {
	for _, id := range []string{"alice", "malory"} {
		b.Run(id, func(b *testing.B) {
			hello := append([]byte(Magic), byte(len(id)))
			hello = append(append(hello, id...), random()...)
			for b.Loop() {
				key, known := lookup(id)
				key = choose(known, key, decoy(id))
				if _, err := derive(hello, hello, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
