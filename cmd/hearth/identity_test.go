package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
)

// identityPolicy has every authentication method but peer credentials, so that every accepted client has used another
// one.
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

// identityHost is a host under identityPolicy, with the files of its clients.
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
			c.Subject.CommonName, c.NotBefore = "alice", time.Now().Add(time.Hour)
			c.NotAfter = c.NotBefore.Add(time.Hour)
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

// who returns the principal that the host reports for a client, or the text of an error.
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

// TestWhoIsCalling is a table of valid and invalid credentials.
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
		{"TLS on a listener without it", portSigned, h.certs("alice"), "handshake failure"},
		{"a key where only certificates count", portStrict, key("alice.key.txt"), "EOF"},
		{"no certificate", portTLS, client.Profile{Channel: "tls", CA: "ca.pem"},
			"access denied: the host has no principal for this peer; show it a key or a certificate of a principal"},
		{"no certificate where one is required", portStrict, client.Profile{Channel: "tls", CA: "ca.pem"},
			"certificate required"},
		{"nobody's certificate", portTLS, h.certs("mallory"),
			`its operator can add your certificate (common name "mallory") to a principal`},
		{"the right name under another authority", portTLS, h.certs("namesake"), "access denied"},
		{"the right name from another authority", portTLS, h.certs("forged"),
			"access denied"}, // the host does not request it
		{"the right name under a stranger, required", portStrict, h.certs("forged"), "certificate"},
		{"expired", portTLS, h.certs("expired"), "certificate"},
		{"not yet valid", portTLS, h.certs("tomorrow"), "certificate"},
		{"a server's certificate", portTLS, h.certs("server"), "certificate"},
		{"a host under another authority", portTLS, client.Profile{Channel: "tls", CA: "ca2.pem"},
			"signed by unknown authority"},
		{"a host of another name", portTLS, wrongName, "not elsewhere.example"},
	} {
		if got := h.who(tc.port, tc.p); !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	// The log has the credentials of a rejected client, and a user only for a socket with peer credentials.
	if log := h.log.String(); !strings.Contains(log, "auth=cert common_name=mallory cert=") ||
		strings.Contains(log, "auth=cert uid=") || strings.Contains(log, `auth="" uid=`) {
		t.Errorf("log lines of rejected clients with and without a certificate:\n%s", log)
	}
	for _, secret := range []string{"a shared secret of alice", readSecret(t, filepath.Join(h.dir, "alice.key.txt"))} {
		if strings.Contains(h.log.String(), secret) {
			t.Error("the log contains a secret")
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

// TestRevocation revokes the credentials of open connections: the host closes them and rejects the credentials. Other
// connections are not affected.
func TestRevocation(t *testing.T) {
	h := startIdentityHost(t)
	keyFile := filepath.Join(h.dir, "alice.key.txt")
	both, err := os.ReadFile(keyFile)
	check(t, err)
	old := filepath.Join(h.dir, "old.txt") // the key of a client that did not rotate
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
		}, "access denied"}, // the host does not request the certificate
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
		// The client still trusts the host's certificate.
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

// TestTLSIsNotResumed: a client cannot resume a session, so a revoked certificate cannot be used that way. TLS 1.2 is
// rejected unless the policy enables it.
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
						t.Error("a listener without TLS 1.2 accepted it")
					}
					continue
				}
				check(t, err)
				// Tickets come with the first answer.
				_, _ = nc.Write([]byte("PYRO\x01\xf6\x06\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
					strings.Repeat("\x00", 16) + "\x00\x00\x4d\xc5"))
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
