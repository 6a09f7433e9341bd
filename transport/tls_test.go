package transport_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
)

// certified is a certificate and its private key.
type certified struct {
	*x509.Certificate
	key crypto.Signer
}

// certify issues a certificate; by nil is itself.
func certify(t *testing.T, by *certified, serial int64, name string, change func(*x509.Certificate)) *certified {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(3 * time.Hour),
		BasicConstraintsValid: true,
	}
	change(template)
	if by == nil {
		by = &certified{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &certified{cert, key}
}

func authority(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }

// chained is a client whose authority has another above it, and the listener it calls.
type chained struct {
	root, middle, client *certified
	files                transport.TLSFiles
	now                  *transport.ServerTLS // current configuration of the listener
	listener             *transport.Listener
	channel              *transport.Channel // of the client
}

func pemFile(t *testing.T, path, kind string, der []byte) string {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func connectChained(t *testing.T) *chained {
	t.Helper()
	dir := t.TempDir()
	c := &chained{root: certify(t, nil, 1, "root", authority)}
	c.middle = certify(t, c.root, 2, "middle", func(x *x509.Certificate) {
		authority(x)
		x.NotAfter = time.Now().Add(time.Hour)
	})
	c.client = certify(t, c.middle, 3, "alice", func(x *x509.Certificate) {
		x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		x.DNSNames = []string{"Alice.Example"}
	})
	host := certify(t, nil, 4, "host", func(*x509.Certificate) {})
	key, err := x509.MarshalPKCS8PrivateKey(host.key)
	if err != nil {
		t.Fatal(err)
	}
	c.files = transport.TLSFiles{
		Cert:     pemFile(t, filepath.Join(dir, "host.pem"), "CERTIFICATE", host.Raw),
		Key:      pemFile(t, filepath.Join(dir, "host.key"), "PRIVATE KEY", key),
		ClientCA: []string{pemFile(t, filepath.Join(dir, "root.pem"), "CERTIFICATE", c.root.Raw)},
	}
	c.load(t, c.files)
	c.listener, err = transport.Listen(t.Context(),
		transport.Config{
			Address:  "127.0.0.1:0",
			Identify: []string{object.AuthCert},
			TLS:      func() *transport.ServerTLS { return c.now },
		})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.listener.Close() })
	nc, err := net.Dial("tcp", c.listener.Addr())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- tls.Client(nc, &tls.Config{
			InsecureSkipVerify: true,
			Certificates: []tls.Certificate{{
				Certificate: [][]byte{c.client.Raw, c.middle.Raw}, PrivateKey: c.client.key}},
		}).Handshake()
	}()
	t.Cleanup(func() { nc.Close(); <-done })
	accepted, err := c.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	if c.channel, err = c.listener.Open(accepted); err != nil {
		t.Fatal(err)
	}
	if p := c.channel.Peer; p.Auth != object.AuthCert || p.Cert.CommonName != "alice" ||
		p.Cert.CA != c.files.ClientCA[0] ||
		!slices.Equal(p.Cert.DNS, []string{"alice.example"}) {
		t.Fatalf("the peer is %+v, its certificate %+v", p, p.Cert)
	}
	return c
}

// load has the listener go by other files.
func (c *chained) load(t *testing.T, f transport.TLSFiles) {
	t.Helper()
	now, err := transport.LoadTLS(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.now = now
}

// TestAuthorityIsRevoked revokes or removes the authorities of the certificate of an open connection.
func TestAuthorityIsRevoked(t *testing.T) {
	c := connectChained(t)
	now := time.Now()
	if err := c.listener.Revoked(c.channel, now); err != nil {
		t.Fatalf("Revoked() = %v before anything was", err)
	}
	if err := c.listener.Revoked(c.channel, now.Add(2*time.Hour)); err == nil {
		t.Error("Revoked() = nil after the authority between has expired")
	}
	for what, change := range map[string]func(*transport.TLSFiles){
		"the certificate":       func(f *transport.TLSFiles) { f.Denied = map[string]bool{"3": true} },
		"the authority between": func(f *transport.TLSFiles) { f.Denied = map[string]bool{"2": true} },
		"the authority on top":  func(f *transport.TLSFiles) { f.Denied = map[string]bool{"1": true} },
		"the authority's file": func(f *transport.TLSFiles) {
			f.ClientCA = []string{pemFile(t, filepath.Join(t.TempDir(), "partner.pem"), "CERTIFICATE", c.root.Raw)}
		},
	} {
		f := c.files
		change(&f)
		c.load(t, f)
		if err := c.listener.Revoked(c.channel, now); err == nil {
			t.Errorf("Revoked() = nil though %s does not count any more", what)
		}
	}
}

// TestWritableAuthorities: the file of authorities is world-writable, so any user could add an authority and pass for
// any client.
func TestWritableAuthorities(t *testing.T) {
	c := connectChained(t)
	if err := os.Chmod(c.files.ClientCA[0], 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := transport.LoadTLS(c.files, nil); err == nil {
		t.Error("authorities were read from a world-writable file")
	}
}

// TestNameConstrained detects an authority with name constraints.
func TestNameConstrained(t *testing.T) {
	for name, change := range map[string]func(*x509.Certificate){
		"free": authority,
		"constrained": func(c *x509.Certificate) {
			authority(c)
			c.PermittedDNSDomains = []string{"a.example"}
		},
	} {
		path := pemFile(t, filepath.Join(t.TempDir(), "ca.pem"), "CERTIFICATE", certify(t, nil, 1, "root", change).Raw)
		if got, err := transport.NameConstrained(path); err != nil || got != (name == "constrained") {
			t.Errorf("NameConstrained() = %t, %v of an authority that is %s", got, err, name)
		}
	}
}
