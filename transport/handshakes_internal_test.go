package transport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/object"
)

// forger signs with random bytes, for a public key whose private key does not exist.
type forger struct{ public crypto.PublicKey }

func (f forger) Public() crypto.PublicKey { return f.public }

func (f forger) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	sig := make([]byte, f.public.(*rsa.PublicKey).Size())
	_, _ = rand.Read(sig)
	sig[0] = 0 // less than the modulus
	return sig, nil
}

// modulus returns an RSA key whose modulus is a random odd number.
func modulus(bits, exponent int) *rsa.PublicKey {
	n := make([]byte, bits/8)
	_, _ = rand.Read(n)
	n[0] |= 0x80
	n[len(n)-1] |= 1
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: exponent}
}

var testKey = func() *ecdsa.PrivateKey {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return key
}()

var testRSA = func() *rsa.PrivateKey {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	return key
}()

// forge makes a certificate of an authority with any public key. One with an RSA key has a random RSA
// signature as long as that key's.
func forge(t *testing.T, subject, issuer string, key any) []byte {
	t.Helper()
	template := func(name string) *x509.Certificate {
		serial, _ := rand.Int(rand.Reader, big.NewInt(1<<40))
		return &x509.Certificate{
			SerialNumber:          serial,
			Subject:               pkix.Name{CommonName: name},
			NotBefore:             time.Now().Add(-time.Hour),
			NotAfter:              time.Now().Add(time.Hour),
			IsCA:                  true,
			BasicConstraintsValid: true,
			ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			DNSNames:              []string{"alice.example"},
		}
	}
	var signer crypto.Signer = testKey
	if _, ok := key.(*rsa.PublicKey); ok {
		signer = testRSA
	}
	der, err := x509.CreateCertificate(rand.Reader, template(subject), template(issuer), key, signer)
	if err != nil {
		t.Fatal(err)
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return der
	}
	var cert struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		t.Fatal(err)
	}
	sig, _ := forger{public}.Sign(nil, nil, nil)
	cert.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	if der, err = asn1.Marshal(cert); err != nil {
		t.Fatal(err)
	}
	return der
}

// counted counts the bytes that were read.
type counted struct {
	net.Conn
	read int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read += n
	return n, err
}

// pair returns both ends of a connection.
func pair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if far, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// show has a client without a certificate's key open TLS with a chain. It returns the host's error
// and how many bytes the host read.
//
//nolint:revive,staticcheck // the error is a result
func show(t *testing.T, key crypto.Signer, chain ...[]byte) (error, int) {
	t.Helper()
	host := forge(t, "host", "host", testKey.Public())
	root, err := x509.ParseCertificate(forge(t, "root", "root", testKey.Public()))
	if err != nil {
		t.Fatal(err)
	}
	server := &ServerTLS{
		roots: map[string]string{string(root.Raw): "ca.pem"},
		config: &tls.Config{
			MinVersion:             tls.VersionTLS13,
			SessionTicketsDisabled: true,
			ClientAuth:             tls.RequestClientCert,
			ClientCAs:              x509.NewCertPool(),
			Certificates:           []tls.Certificate{{Certificate: [][]byte{host}, PrivateKey: testKey}},
		},
	}
	server.config.ClientCAs.AddCert(root)
	l := &Listener{cfg: Config{
		Identify:   []string{object.AuthCert},
		TLS:        func() *ServerTLS { return server },
		Handshakes: NewHandshakes(),
	}}
	near, far := pair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := tls.Client(far, &tls.Config{
			InsecureSkipVerify: true,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &tls.Certificate{Certificate: chain, PrivateKey: key}, nil
			},
		})
		_ = c.Handshake()
		_, _ = io.Copy(io.Discard, far) // the host's alert
	}()
	conn := &counted{Conn: near}
	err = l.openTLS(&Channel{Conn: conn}, source{})
	near.Close()
	far.Close()
	<-done
	if n := len(l.cfg.Handshakes.sources); n != 0 || l.cfg.Handshakes.held != 0 {
		t.Errorf("after the handshake: %d sources hold %d bytes", n, l.cfg.Handshakes.held)
	}
	return err, conn.read
}

// TestForgedChains shows the host chains that cost nothing to make and much to verify.
func TestForgedChains(t *testing.T) {
	large := modulus(8192, 65537)
	authorities := func(n int, key func() any, subject func(i int) string) (chain [][]byte) {
		for i := range n {
			chain = append(chain, forge(t, subject(i), subject(i+1), key()))
		}
		return chain
	}
	same := func(int) string { return "one" }
	each := func(i int) string { return fmt.Sprint("authority ", i) }
	ec := func() any { return testKey.Public() }
	for _, test := range []struct {
		name  string
		key   crypto.Signer
		chain [][]byte
		want  string
	}{
		{"110 authorities with RSA-8192", forger{large},
			authorities(110, func() any { return modulus(8192, 65537) }, same), "more than 32768 bytes"},
		{"20 authorities", testKey, authorities(20, ec, each), "the client sent 20 certificates; at most 6"},
		{"a client with RSA-8192", forger{large}, authorities(1, func() any { return large }, same),
			"an RSA key of 8192 bits; at most 4096"},
		{"an authority with RSA-8192", testKey, append(authorities(1, ec, each),
			forge(t, "authority 1", "root", large)), "certificate 2 of the client: an RSA key of 8192 bits"},
		{"a large exponent", testKey,
			append(authorities(1, ec, each), forge(t, "authority 1", "root", modulus(2048, 1<<31-1))), "exponent"},
		{"namesakes", testKey, authorities(5, ec, same), "5 certificates of the client have one subject"},
		{"the most there may be", testKey, authorities(6, ec, each), "unknown authority"},
		{"an RSA-4096 client", forger{modulus(4096, 65537)},
			authorities(3, func() any { return modulus(4096, 65537) }, each), "unknown authority"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err, read := show(t, test.key, test.chain...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the host returned %v, want %q", err, test.want)
			}
			if read > MaxHandshakeBytes {
				t.Errorf("the host read %d bytes of the handshake, want at most %d", read, MaxHandshakeBytes)
			}
		})
	}
}

// TestLeafIsUnmistakable shows certificates whose authority may not have meant them for this.
func TestLeafIsUnmistakable(t *testing.T) {
	root := &x509.Certificate{Subject: pkix.Name{CommonName: "root"}}
	for name, test := range map[string]struct {
		change func(*x509.Certificate)
		want   string
	}{
		"no extended key usage": {func(c *x509.Certificate) { c.ExtKeyUsage = nil }, "not for clients"},
		"a server's": {func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}, "not for clients"},
		"two common names": {func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidCommonName, Value: "mallory"},
				{Type: oidCommonName, Value: "alice"}}
		}, "2 common names"},
		"for clients": {func(*x509.Certificate) {}, ""},
	} {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1),
			Subject:      pkix.Name{CommonName: "alice"},
			NotAfter:     time.Now().Add(time.Hour),
			ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		test.change(template)
		der, err := x509.CreateCertificate(rand.Reader, template, root, testKey.Public(), testKey)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkLeaf(leaf); (err == nil) != (test.want == "") ||
			err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// endless is a connection from which any number of bytes can be read.
type endless struct {
	net.Conn
	closed bool
}

func (*endless) Read(p []byte) (int, error) { return len(p), nil }

func (e *endless) Close() error { e.closed = true; return nil }

// TestUnfinishedHandshakesShareMemory fills the memory of all handshakes from one source: it loses
// its oldest ones, and another source's handshake continues.
func TestUnfinishedHandshakesShareMemory(t *testing.T) {
	h := NewHandshakes()
	h.free = 1 << 20
	fill := func(from source) (*handshakeConn, *endless, error) {
		socket := new(endless)
		c, err := h.begin(socket, from)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadFull(c, make([]byte, MaxHandshakeBytes))
		return c, socket, err
	}
	other, otherSocket, err := fill(source{local: true})
	if err != nil {
		t.Fatal(err)
	}
	attacker := source{network: netip.MustParsePrefix("192.0.2.1/32")}
	var conns []*handshakeConn
	var sockets []*endless
	const more = 7
	for range MaxHandshakesBytes/MaxHandshakeBytes - 1 + more {
		c, socket, err := fill(attacker)
		if err != nil {
			t.Fatal(err)
		}
		conns, sockets = append(conns, c), append(sockets, socket)
	}
	if h.held > MaxHandshakesBytes {
		t.Errorf("unfinished handshakes hold %d bytes, want at most %d", h.held, MaxHandshakesBytes)
	}
	for i, s := range sockets {
		if s.closed != (i < more) {
			t.Errorf("handshake %d of the attacker: closed is %t", i, s.closed)
		}
	}
	if otherSocket.closed {
		t.Error("another source's handshake was closed")
	}
	for _, c := range append(conns, other) {
		c.end()
	}
	if len(h.sources) != 0 || h.held != 0 {
		t.Errorf("after all have ended %d sources hold %d bytes", len(h.sources), h.held)
	}
}

// TestSourcesTakeTurns has one source wait with many handshakes: another's is second in line.
func TestSourcesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHandshakes()
		h.free = 1
		many, one := source{network: netip.MustParsePrefix("192.0.2.1/32")}, source{local: true}
		first, err := h.begin(new(endless), many)
		if err != nil {
			t.Fatal(err)
		}
		order := make(chan string, 10)
		start := func(name string, from source) {
			go func() {
				c, err := h.begin(new(endless), from)
				if err != nil {
					order <- err.Error()
					return
				}
				order <- name
				c.end()
			}()
			synctest.Wait()
		}
		for _, name := range []string{"many 1", "many 2", "many 3"} {
			start(name, many)
		}
		start("one", one)
		first.end()
		synctest.Wait()
		var got []string
		for range 4 {
			got = append(got, <-order)
		}
		if want := []string{"many 1", "one", "many 2", "many 3"}; !slices.Equal(got, want) {
			t.Errorf("turns went to %v, want %v", got, want)
		}
		if h.free != 1 || len(h.waiting) != 0 {
			t.Errorf("%d turns are free and %d sources wait at the end", h.free, len(h.waiting))
		}
	})
}

// TestWaitingForASlotEnds makes a handshake wait for a slot that is never released.
func TestWaitingForASlotEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHandshakes()
		h.free = 0
		if _, err := h.begin(new(endless), source{}); err == nil || errors.Is(err, errOverloaded) {
			t.Errorf("begin() = %v without a turn", err)
		}
		if len(h.waiting) != 0 || len(h.sources) != 0 {
			t.Errorf("%d loads still wait, of %d sources", len(h.waiting), len(h.sources))
		}
	})
}
