package channel_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/transport/channel"
	"github.com/hearthhost/hearth/transport/signed"
)

var (
	_ channel.Codec = channel.Plain{}
	_ channel.Codec = (*channel.TLS)(nil)
	_ channel.Codec = (*channel.Nested)(nil)
	_ channel.Codec = (*signed.Codec)(nil)
)

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "test"},
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// pipe returns two ends of a socket.
func pipe(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// tlsPair returns both codecs of a TLS connection of a version.
func tlsPair(version uint16) func(testing.TB) (client, server channel.Codec) {
	return func(t testing.TB) (client, server channel.Codec) {
		cc, sc := pipe(t)
		cm, sm := &channel.Memory{Conn: cc}, &channel.Memory{Conn: sc}
		ct := tls.Client(cm, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
		st := tls.Server(sm, &tls.Config{Certificates: []tls.Certificate{certificate(t)}, MaxVersion: version})
		done := make(chan error, 1)
		go func() { done <- ct.Handshake() }()
		err := st.Handshake()
		if err = errors.Join(err, <-done); err != nil {
			t.Fatal(err)
		}
		c, errClient := channel.NewTLS(ct, cm)
		s, errServer := channel.NewTLS(st, sm)
		if errClient != nil || errServer != nil {
			t.Fatal(errClient, errServer)
		}
		return c, s
	}
}

// signedPair returns both codecs of an HMAC channel.
func signedPair(t testing.TB) (client, server channel.Codec) {
	cc, sc := pipe(t)
	key := signed.Key{1, 2, 3}
	c := signed.Client(cc, "alice", key)
	s := signed.Server(sc, func(string) (signed.Key, bool) { return key, true })
	done := make(chan error, 1)
	go func() { done <- c.Handshake() }()
	err := s.Handshake()
	if err = errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	client, okClient := c.Codec()
	server, okServer := s.Codec()
	if !okClient || !okServer {
		t.Fatal("no codec after the handshake")
	}
	return client, server
}

var pairs = map[string]func(testing.TB) (client, server channel.Codec){
	"plain":   func(testing.TB) (client, server channel.Codec) { return channel.Plain{}, channel.Plain{} },
	"hmac":    signedPair,
	"tls 1.2": tlsPair(tls.VersionTLS12),
	"tls 1.3": tlsPair(tls.VersionTLS13),
	"hmac in tls": func(t testing.TB) (client, server channel.Codec) {
		outerClient, outerServer := tlsPair(tls.VersionTLS13)(t)
		innerClient, innerServer := signedPair(t)
		return &channel.Nested{Outer: outerClient, Inner: innerClient},
			&channel.Nested{Outer: outerServer, Inner: innerServer}
	},
}

// feedParts feeds a stream in parts; part is their size, 0 for random sizes. It returns the plaintext.
func feedParts(t testing.TB, c channel.Codec, stream []byte, part int) []byte {
	t.Helper()
	random := mathrand.New(mathrand.NewPCG(1, 2))
	got, err := c.Feed(nil, nil)
	for len(stream) > 0 && err == nil {
		n := part
		if n == 0 {
			n = random.IntN(3000)
		}
		n = min(n, len(stream))
		in := bytes.Clone(stream[:n])
		got, err = c.Feed(got, in)
		clear(in) // the codec must not refer to it
		stream = stream[n:]
	}
	if err != nil {
		t.Fatalf("parts of %d bytes: %v", part, err)
	}
	return got
}

// TestPartitions: the division of a stream into parts does not change the plaintext, in both directions.
func TestPartitions(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			for _, part := range []int{1, 2, 3, 7, 1000, 1 << 20, 0} {
				client, server := pair(t)
				for _, way := range [][2]channel.Codec{{client, server}, {server, client}} {
					var stream, want []byte
					var err error
					for i := range 20 {
						b := bytes.Repeat([]byte{byte(i)}, 1+i*i*30)
						want = append(want, b...)
						stream, err = way[0].Seal(stream, b)
						if err != nil {
							t.Fatal(err)
						}
					}
					if got := feedParts(t, way[1], stream, part); !bytes.Equal(got, want) {
						t.Errorf("parts of %d bytes: %d bytes, want %d", part, len(got), len(want))
					}
				}
			}
		})
	}
}

// TestPending feeds records byte by byte: bytes are pending exactly within a record.
func TestPending(t *testing.T) {
	for name, pair := range pairs {
		client, server := pair(t)
		if _, err := server.Feed(nil, nil); err != nil || server.Pending() != 0 {
			t.Errorf("%s: %d bytes are pending after the handshake, %v", name, server.Pending(), err)
		}
		for range 3 {
			record, err := client.Seal(nil, []byte("content"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range record {
				_, err := server.Feed(nil, record[i:i+1])
				pending := server.Pending()
				if within := i+1 < len(record) && name != "plain"; err != nil || pending > 0 != within {
					t.Fatalf("%s: %d bytes are pending after %d of %d, %v", name, pending, i+1, len(record), err)
				}
			}
		}
	}
}

// TestReadAhead takes the codec of an HMAC channel whose connection has read more than its last caller has: nothing is
// lost.
func TestReadAhead(t *testing.T) {
	cc, sc := pipe(t)
	key := signed.Key{1, 2, 3}
	client := signed.Client(cc, "alice", key)
	server := signed.Server(sc, func(string) (signed.Key, bool) { return key, true })
	sealed := make(chan error, 1)
	go func() { sealed <- client.Handshake() }()
	if err := errors.Join(server.Handshake(), <-sealed); err != nil {
		t.Fatal(err)
	}
	codec, _ := client.Codec()
	var stream []byte
	for _, part := range []string{"first ", "second ", "third"} {
		stream, _ = codec.Seal(stream, []byte(part))
	}
	if _, err := cc.Write(stream[:len(stream)-7]); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(server, got); err != nil {
		t.Fatal(err)
	}
	rest, _ := server.Codec()
	cc.Close()
	unread, err := io.ReadAll(sc) // bytes that the connection has not taken from the socket
	if err != nil {
		t.Fatal(err)
	}
	got, err = rest.Feed(got, append(unread, stream[len(stream)-7:]...))
	if err != nil || string(got) != "first second third" {
		t.Errorf("the codec continues with %q, %v", got, err)
	}
}

// TestLargeMessage: a message above the size of a record arrives.
func TestLargeMessage(t *testing.T) {
	for name, pair := range pairs {
		client, server := pair(t)
		want := bytes.Repeat([]byte("large"), 100_000)
		stream, err := client.Seal([]byte("kept"), want)
		if err != nil || string(stream[:4]) != "kept" {
			t.Fatal(name, err)
		}
		if got := feedParts(t, server, stream[4:], 50_000); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(want))
		}
	}
}

// TestAlteredRecordIsFinal alters bytes of a record, one at a time. No byte of it is returned, and later records and
// the other direction fail. Bytes before it are returned.
func TestAlteredRecordIsFinal(t *testing.T) {
	for name, pair := range pairs {
		if name == "plain" {
			continue
		}
		for at, length := 0, 1; at < length; at += 5 { // not each byte: each needs a handshake
			client, server := pair(t)
			first, _ := client.Seal(nil, []byte("first"))
			second, _ := client.Seal(nil, []byte("second"))
			length = len(second)
			third, _ := client.Seal(nil, bytes.Repeat([]byte("third"), 20_000))
			second[at] ^= 1
			got, err := server.Feed(nil, append(append(first, second...), third...))
			if err == nil || errors.Is(err, io.EOF) || string(got) != "first" {
				t.Fatalf("%s: byte %d altered: %q, %v", name, at, got, err)
			}
			server.Control(nil)
			for range 2 {
				if got, err := server.Feed(nil, third); err == nil || errors.Is(err, io.EOF) || len(got) > 0 {
					t.Fatalf("%s: after an altered record: %q, %v", name, got, err)
				}
			}
			if out, err := server.Seal(nil, []byte("answer")); err == nil || len(out) > 0 {
				t.Fatalf("%s: an answer after an altered record: %d bytes, %v", name, len(out), err)
			}
			if server.Cut() == nil {
				t.Errorf("%s: the end after an altered record is orderly", name)
			}
		}
	}
}

// TestEnd: the end of one direction is orderly, and the other direction continues. A cut stream is an error.
func TestEnd(t *testing.T) {
	for name, pair := range pairs {
		if name == "plain" {
			continue
		}
		client, server := pair(t)
		stream, _ := client.Seal(nil, []byte("last"))
		if got := feedParts(t, server, stream, 0); string(got) != "last" || server.Cut() == nil {
			t.Errorf("%s: %q; the end without the final record is orderly", name, got)
		}
		end := client.End(nil)
		if again := client.End(nil); len(end) == 0 || len(again) > 0 {
			t.Errorf("%s: ends of %d and %d bytes", name, len(end), len(again))
		}
		if _, err := client.Seal(nil, []byte("more")); err == nil {
			t.Errorf("%s: sealed after the end", name)
		}
		for range 2 {
			if got, err := server.Feed(nil, end); !errors.Is(err, io.EOF) || len(got) > 0 || server.Cut() != nil {
				t.Errorf("%s: at the end: %q, %v, then %v", name, got, err, server.Cut())
			}
		}
		answer, err := server.Seal(nil, []byte("answer"))
		if err != nil {
			t.Fatal(name, err)
		}
		if got := feedParts(t, client, answer, 1); string(got) != "answer" {
			t.Errorf("%s: %q after the end of the other direction", name, got)
		}
	}
}

// TestTLSNeedsTheHandshake: a codec exists only for an identified peer.
func TestTLSNeedsTheHandshake(t *testing.T) {
	cc, _ := pipe(t)
	m := &channel.Memory{Conn: cc}
	if _, err := channel.NewTLS(tls.Client(m, &tls.Config{ServerName: "test"}), m); err == nil {
		t.Error("a codec before the handshake")
	}
	if _, ok := signed.Client(cc, "alice", signed.Key{}).Codec(); ok {
		t.Error("a codec of the HMAC channel before the handshake")
	}
}

// temporary is a connection without bytes, whose errors are Temporary or not.
type temporary struct {
	net.Conn
	is    bool
	reads int
}

func (c *temporary) Read([]byte) (int, error) {
	c.reads++
	return 0, emptyError{c.is}
}

type emptyError struct{ temporary bool }

func (emptyError) Error() string     { return "empty" }
func (emptyError) Timeout() bool     { return true }
func (e emptyError) Temporary() bool { return e.temporary }

// TestTLSKeepsPermanentErrors pins the behavior of crypto/tls that the codec relies on: it forgets an error of its
// connection that is Temporary, and keeps every other one. Temporary is deprecated; if this test fails with a new
// version of Go, the codec needs another way to stop a read.
func TestTLSKeepsPermanentErrors(t *testing.T) {
	for _, is := range []bool{true, false} {
		cc, sc := pipe(t)
		socket := &switched{Conn: sc}
		client := tls.Client(cc, &tls.Config{InsecureSkipVerify: true})
		server := tls.Server(socket, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
		done := make(chan error, 1)
		go func() { done <- client.Handshake() }()
		if err := errors.Join(server.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		empty := &temporary{is: is}
		socket.Conn = empty
		for range 3 {
			if _, err := server.Read(make([]byte, 10)); !errors.Is(err, emptyError{is}) {
				t.Fatalf("temporary %v: %v", is, err)
			}
		}
		if want := map[bool]int{true: 3, false: 1}[is]; empty.reads != want {
			t.Errorf("temporary %v: %d reads of the connection, want %d", is, empty.reads, want)
		}
	}
}

// switched is a connection that can be replaced.
type switched struct{ net.Conn }

// roundTrip sends a request and an answer.
type roundTrip struct {
	client, server  channel.Codec
	request, answer [100]byte
	up, down, plain []byte
}

func (r *roundTrip) run(t testing.TB) {
	var err [4]error
	r.up, err[0] = r.client.Seal(r.up[:0], r.request[:])
	r.plain, err[1] = r.server.Feed(r.plain[:0], r.up)
	r.down, err[2] = r.server.Seal(r.down[:0], r.answer[:])
	r.plain, err[3] = r.client.Feed(r.plain[:0], r.down)
	if errors.Join(err[:]...) != nil || len(r.plain) != len(r.answer) {
		t.Fatal(fmt.Sprint(err), len(r.plain))
	}
}

// TestAllocations: crypto/tls allocates once for each record that it writes or reads.
func TestAllocations(t *testing.T) {
	for name, most := range map[string]float64{"plain": 0, "hmac": 0, "tls 1.2": 4, "tls 1.3": 4, "hmac in tls": 16} {
		if raceDetector && strings.Contains(name, "tls") {
			continue
		}
		r := new(roundTrip)
		r.client, r.server = pairs[name](t)
		r.run(t)
		if n := testing.AllocsPerRun(100, func() { r.run(t) }); n > most {
			t.Errorf("%s: %v allocations for a call, at most %v", name, n, most)
		}
	}
}

func BenchmarkCall(b *testing.B) {
	for name, pair := range pairs {
		b.Run(name, func(b *testing.B) {
			r := new(roundTrip)
			r.client, r.server = pair(b)
			b.ReportAllocs()
			for b.Loop() {
				r.run(b)
			}
		})
	}
}
