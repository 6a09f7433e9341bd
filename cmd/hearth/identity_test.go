package main_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
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

// identityPolicy has every way of identification, and nobody who is known by his user:
// who is let in has proven something else.
const identityPolicy = `
listener "signed" {
  address  = "127.0.0.1:0"
  identify = ["hmac"]
  plain    = false
}
listener "tls" {
  address  = "127.0.0.1:0"
  identify = ["cert", "hmac"]
  plain    = false
  tls {
    cert      = "host.pem"
    key       = "host.key"
    client_ca = ["ca.pem", "ca2.pem"]
    revoked   = "revoked"
  }
}
listener "strict" {
  address  = "127.0.0.1:0"
  identify = ["cert"]
  plain    = false
  tls {
    cert        = "host.pem"
    key         = "host.key"
    client_ca   = "ca.pem"
    min_version = "1.2"
  }
}
listener "old" {
  address  = "127.0.0.1:0"
  identify = ["pyro4-hmac"]
}
listener "peer" {
  address  = "127.0.0.1:0"
  identify = ["peer", "hmac"]
}
principal "alice" {
  keys       = ["alice.key.txt"]
  pyro4_keys = ["alice.pyro4"]
  cert {
    ca          = "ca.pem"
    common_name = "alice"
  }
}
principal "bob" {
  keys = ["bob.key.txt"]
  cert {
    ca  = "ca.pem"
    dns = "bob.example"
  }
}
enroll {}
tenant "demo" {}
tenant "me" {}
permit "all of me" {
  principals = ["alice", "bob"]
  objects    = ["me.*"]
}
permit "alice counts" {
  principals = ["alice"]
  objects    = ["demo.counter"]
}
`

const whoScript = `
local W = hearth.object { instance = "call" }
function W.expose:who()
  local c = hearth.caller()
  return c.principal .. " " .. c.channel
end
return W
`

// identityHost is a host under identityPolicy, with what its callers need.
type identityHost struct {
	*liveHost
	t      *testing.T
	ca     *authority
	serial map[string]string // of the certificates, by file
}

// The listeners of identityPolicy.
const (
	portSigned = iota
	portTLS
	portStrict
	portOld
	portPeer
)

func startIdentityHost(t *testing.T) *identityHost {
	t.Helper()
	h := &identityHost{t: t, serial: map[string]string{}}
	h.liveHost = startHostWith(t, identityPolicy, func(dir string) {
		h.ca = newAuthority(t, dir, "ca")
		other := newAuthority(t, dir, "ca2")
		newAuthority(t, dir, "stranger").issue("forged", func(c *x509.Certificate) { c.Subject.CommonName = "alice" })
		h.ca.issue("host", forServer)
		h.serial["alice"] = h.ca.issue("alice", nil)
		h.serial["bob"] = h.ca.issue("bob", func(c *x509.Certificate) { c.DNSNames = []string{"bob.example"} })
		h.ca.issue("expired", func(c *x509.Certificate) {
			c.Subject.CommonName, c.NotAfter = "alice", time.Now().Add(-time.Minute)
		})
		h.ca.issue("tomorrow", func(c *x509.Certificate) {
			c.Subject.CommonName, c.NotBefore = "alice", time.Now().Add(time.Minute)
		})
		h.ca.issue("server", func(c *x509.Certificate) { forServer(c); c.Subject.CommonName = "alice" })
		h.ca.issue("mallory", nil)
		other.issue("namesake", func(c *x509.Certificate) { c.Subject.CommonName = "alice" })
		check(t, os.WriteFile(filepath.Join(dir, "revoked"), []byte("# nobody\n"), 0o644))
		writeKeys(t, filepath.Join(dir, "alice.key.txt"), "alice-2", "alice-1")
		writeKeys(t, filepath.Join(dir, "bob.key.txt"), "bob-1")
		writeKeys(t, filepath.Join(dir, "unknown.txt"), "mallory-1")
		check(t, os.WriteFile(filepath.Join(dir, "alice.pyro4"), []byte("a shared secret of alice\n"), 0o600))
		check(t, os.MkdirAll(filepath.Join(dir, "scripts", "me"), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, "scripts", "me", "who.lua"), []byte(whoScript), 0o644))
	})
	return h
}

// client makes a client of one of the host's listeners; files are relative to its folder.
func (h *identityHost) client(port int, p client.Profile) (*client.Client, error) {
	h.t.Helper()
	p.Address = h.ports[port]
	path := filepath.Join(h.dir, "profile.json")
	b, err := json.Marshal(p)
	check(h.t, err)
	check(h.t, os.WriteFile(path, b, 0o644))
	loaded, err := client.LoadProfile(path)
	if err != nil {
		return nil, err
	}
	cfg := client.Config{Timeout: 10 * time.Second}
	if err := loaded.Apply(&cfg); err != nil {
		return nil, err
	}
	c, err := client.New(cfg)
	if err == nil {
		h.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// who asks the host who we are; the answer is an error's text if there is one.
func (h *identityHost) who(port int, p client.Profile) string {
	h.t.Helper()
	c, err := h.client(port, p)
	check(h.t, err)
	v, err := c.Object("me.who").Call(h.t.Context(), "who")
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(v)
}

func (h *identityHost) certs(name string) client.Profile {
	return client.Profile{Channel: "tls", CA: "ca.pem", Cert: name + ".pem", CertKey: name + ".key"}
}

// TestWhoIsCalling is a table of proofs, and of what is none.
func TestWhoIsCalling(t *testing.T) {
	h := startIdentityHost(t)
	key := func(file string) client.Profile { return client.Profile{Channel: "hmac", Key: file} }
	keyInTLS := client.Profile{Channel: "tls", CA: "ca.pem", Key: "bob.key.txt"}
	both := h.certs("alice")
	both.Key = "bob.key.txt"
	wrongKey := filepath.Join(h.dir, "wrong.txt")
	writeKeys(t, wrongKey, "alice-1")
	wrongName := client.Profile{Channel: "tls", CA: "ca.pem", ServerName: "elsewhere.example"}
	for _, tc := range []struct {
		name string
		port int
		p    client.Profile
		want string
	}{
		{"a key", portSigned, key("alice.key.txt"), "alice hmac"},
		{"another's key", portSigned, key("bob.key.txt"), "bob hmac"},
		{"a key, where users are known too", portPeer, key("alice.key.txt"), "alice hmac"},
		{"a key inside TLS", portTLS, keyInTLS, "bob tls"},
		{"a key inside mutual TLS", portTLS, both, "bob tls"},
		{"a key on the TLS port without TLS", portTLS, key("alice.key.txt"), "alice hmac"},
		{"a certificate", portTLS, h.certs("alice"), "alice tls"},
		{"a certificate by DNS name", portTLS, h.certs("bob"), "bob tls"},
		{"a certificate where it is required", portStrict, h.certs("alice"), "alice tls"},

		{"an unknown key", portSigned, key("unknown.txt"), "did not prove"},
		{"a known id with another key", portSigned, key(wrongKey), "did not prove"},
		{"no proof", portSigned, client.Profile{Channel: "plain"}, "plain connections are not taken here"},
		{"no proof, peer", portPeer, client.Profile{Channel: "plain"}, "access denied"},
		{"TLS where there is none", portSigned, h.certs("alice"), "EOF"},
		{"a key where only certificates count", portStrict, key("alice.key.txt"), "EOF"},
		{"no certificate", portTLS, client.Profile{Channel: "tls", CA: "ca.pem"}, "access denied"},
		{"no certificate where one is required", portStrict, client.Profile{Channel: "tls", CA: "ca.pem"}, "certificate required"},
		{"nobody's certificate", portTLS, h.certs("mallory"), "access denied"},
		{"the right name under another authority", portTLS, h.certs("namesake"), "access denied"},
		{"the right name under a stranger", portTLS, h.certs("forged"), "access denied"}, // it is not asked for
		{"the right name under a stranger, required", portStrict, h.certs("forged"), "certificate"},
		{"expired", portTLS, h.certs("expired"), "certificate"},
		{"not yet valid", portTLS, h.certs("tomorrow"), "certificate"},
		{"a server's certificate", portTLS, h.certs("server"), "certificate"},
		{"a host under another authority", portTLS, client.Profile{Channel: "tls", CA: "ca2.pem"}, "signed by unknown authority"},
		{"a host of another name", portTLS, wrongName, "not elsewhere.example"},
	} {
		if got := h.who(tc.port, tc.p); !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	for _, secret := range []string{"a shared secret of alice", readSecret(t, filepath.Join(h.dir, "alice.key.txt"))} {
		if strings.Contains(h.log.String(), secret) {
			t.Error("a secret stands in the log")
		}
	}
}

// readSecret returns the secret of the first key of a file as it is written.
func readSecret(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 4 {
			return f[2]
		}
	}
	t.Fatalf("no key in %s", path)
	return ""
}

// TestRevocation holds connections open while what let them in is taken away: they are
// cut, the same is refused from then on, and others notice nothing.
func TestRevocation(t *testing.T) {
	h := startIdentityHost(t)
	keyFile := filepath.Join(h.dir, "alice.key.txt")
	both, err := os.ReadFile(keyFile)
	check(t, err)
	old := filepath.Join(h.dir, "old.txt") // what a client still has that did not rotate
	check(t, os.WriteFile(old, []byte(lineWith(t, string(both), "alice-1")), 0o600))
	bystander := h.session(portSigned, client.Profile{Channel: "hmac", Key: "bob.key.txt"})
	for _, tc := range []struct {
		name   string
		port   int
		p      client.Profile
		revoke func()
		after  string
	}{
		{"an old key, by rotation", portSigned, client.Profile{Channel: "hmac", Key: "old.txt"}, func() {
			replaceFile(t, keyFile, lineWith(t, string(both), "alice-2"))
		}, "did not prove"},
		{"a certificate", portTLS, h.certs("alice"), func() {
			replaceFile(t, filepath.Join(h.dir, "revoked"), h.serial["alice"]+"\n")
		}, "certificate"},
		{"a key file that is gone", portSigned, client.Profile{Channel: "hmac", Key: "copy.txt"}, func() {
			check(t, os.Remove(keyFile))
		}, "did not prove"},
		{"an authority", portTLS, h.certs("bob"), func() {
			other, err := os.ReadFile(filepath.Join(h.dir, "stranger.pem"))
			check(t, err)
			replaceFile(t, filepath.Join(h.dir, "ca.pem"), string(other))
		}, "access denied"}, // the client sees that its certificate is not asked for
	} {
		if tc.p.Key == "copy.txt" {
			b, err := os.ReadFile(keyFile)
			check(t, err)
			check(t, os.WriteFile(filepath.Join(h.dir, "copy.txt"), b, 0o600))
		}
		host, err := os.ReadFile(filepath.Join(h.dir, "ca.pem"))
		check(t, err)
		one := h.session(tc.port, tc.p)
		if _, err := one.Object("me.who").Call(t.Context(), "who"); err != nil {
			t.Fatalf("%s: before: %v", tc.name, err)
		}
		tc.revoke()
		h.awaitCut(tc.name, one)
		// The client goes on trusting the host's own certificate.
		check(t, os.WriteFile(filepath.Join(h.dir, "trust.pem"), host, 0o644))
		if tc.p.CA != "" {
			tc.p.CA = "trust.pem"
		}
		if got := h.who(tc.port, tc.p); !strings.Contains(got, tc.after) {
			t.Errorf("%s: after: %q, want %q", tc.name, got, tc.after)
		}
		if v, err := bystander.Object("me.who").Call(t.Context(), "who"); v != "bob hmac" || err != nil {
			t.Errorf("%s: a bystander noticed: %v, %v", tc.name, v, err)
		}
	}
}

func lineWith(t *testing.T, text, id string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.Contains(line, " "+id+" ") {
			return line
		}
	}
	t.Fatalf("no key %s", id)
	return ""
}

// replaceFile replaces a file in one step, as editors and tools do.
func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.WriteFile(path+".new", []byte(text), 0o600))
	check(t, os.Rename(path+".new", path))
}

// session is one connection, held open.
func (h *identityHost) session(port int, p client.Profile) *client.Session {
	h.t.Helper()
	c, err := h.client(port, p)
	check(h.t, err)
	s, err := c.Session(h.t.Context())
	check(h.t, err)
	return s
}

// awaitCut calls until the connection is cut.
func (h *identityHost) awaitCut(what string, s *client.Session) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	for {
		if _, err := s.Object("me.who").Call(ctx, "who"); err != nil {
			if ctx.Err() != nil {
				h.t.Errorf("%s: still connected after %s", what, time.Since(began))
			}
			return
		}
	}
}

// TestTLSIsNotResumed has a client that would resume its session: it never can, so that
// a revoked certificate cannot come back that way. TLS 1.2 is refused but where it is
// asked for.
func TestTLSIsNotResumed(t *testing.T) {
	h := startIdentityHost(t)
	pair, err := tls.LoadX509KeyPair(filepath.Join(h.dir, "alice.pem"), filepath.Join(h.dir, "alice.key"))
	check(t, err)
	pem, err := os.ReadFile(filepath.Join(h.dir, "ca.pem"))
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, port := range []int{portTLS, portStrict} {
		for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
			cfg := &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{pair},
				ClientSessionCache: tls.NewLRUClientSessionCache(4), MinVersion: version, MaxVersion: version}
			for range 3 {
				nc, err := tls.Dial("tcp", h.ports[port], cfg)
				if version == tls.VersionTLS12 && port == portTLS {
					if err == nil {
						t.Error("TLS 1.2 was taken by a listener that does not say so")
					}
					continue
				}
				check(t, err)
				// Tickets come with the first answer.
				_, _ = nc.Write([]byte("PYRO\x01\xf6\x06\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 16) + "\x00\x00\x4d\xc5"))
				_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
				_, _ = io.ReadAll(nc)
				if nc.ConnectionState().DidResume {
					t.Errorf("port %d, version %x: a session was resumed", port, version)
				}
				nc.Close()
			}
		}
	}
}

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

// relay stands between a client and the host and does with each message what hook says,
// which gets the messages, one at a time, with their position in their direction's stream.
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

// counted returns how often the counter was called, asked directly.
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
	sizes := map[bool]int{} // of what passes up to the answer; a goodbye follows
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

// TestReplayAndSplice plays recorded bytes to the host: the whole connection again, a
// record again in its own connection, a record of another connection, records in another
// order, and what the host said back to itself.
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
		"what the host said":               func(n int, b []byte) []byte { return down[len(down)-1] },
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
		c, err := client.New(client.Config{Address: addr, KeyID: "alice-2", Key: key, Timeout: 2 * time.Second, MaxConns: 1})
		check(t, err)
		s, err := c.Session(t.Context())
		check(t, err)
		_, first := s.Object("demo.counter").Call(t.Context(), "get_nothing") // the call that is spoilt
		_, second := s.Object("demo.counter").Call(t.Context(), "get_nothing")
		var re *client.RemoteError
		if errors.As(second, &re) || second == nil {
			t.Errorf("%s: the connection goes on: %v, %v", what, first, second)
		}
		s.Close()
		c.Close()
		stop()
	}
	if after := h.counted(); after != before {
		t.Errorf("the counter went from %v to %v", before, after)
	}
}

// TestUnknownKeyLooksLikeAWrongOne compares all that the host says to a client with a
// known key id and another key and to one with an unknown id of the same length.
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
