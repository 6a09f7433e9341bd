package transport_test

import (
	"crypto/x509"
	"net"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/transport/signed"
)

// resume resumes a proof at a listener and returns the error.
func resume(l *transport.Listener, p transport.Proof) error {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	_, err := l.Resume(near, p)
	return err
}

// TestResumeCertificate resumes a connection with a client certificate. It fails after everything that would end the
// connection, and for certificates that prove nothing.
func TestResumeCertificate(t *testing.T) {
	c := connectChained(t)
	proof := c.channel.Proof()
	if err := resume(c.listener, proof); err != nil {
		t.Fatalf("Resume() = %v before anything was revoked", err)
	}
	forged := certify(t, nil, 3, "alice", func(*x509.Certificate) {})
	for what, chain := range map[string][][]byte{
		"no certificate":            nil,
		"garbage":                   {[]byte("x")},
		"a forged certificate":      {forged.Raw},
		"no authority between":      {c.client.Raw},
		"the authority as a client": {c.middle.Raw},
	} {
		p := proof
		p.Chain = chain
		if resume(c.listener, p) == nil {
			t.Errorf("Resume() = nil with %s", what)
		}
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	p := proof
	p.Peer.Cert = &object.Certificate{CommonName: "bob"}
	if ch, err := c.listener.Resume(near, p); err != nil || ch.Peer.Cert.CommonName != "alice" {
		t.Errorf("the attributes of the certificate are %+v, %v; want those of its bytes", ch.Peer.Cert, err)
	}
	f := c.files
	f.Denied = map[string]bool{"2": true}
	c.load(t, f)
	if resume(c.listener, proof) == nil {
		t.Error("Resume() = nil after the authority between was revoked")
	}
}

// TestResumeKey resumes a connection of an HMAC channel.
func TestResumeKey(t *testing.T) {
	key := signed.Key{1}
	cfg := transport.Config{
		Address:  "127.0.0.1:0",
		Identify: []string{object.AuthHMAC},
		Keys:     func(id string) (signed.Key, bool) { return key, id == "alice-1" },
	}
	open := func(cfg transport.Config) *transport.Listener {
		l, err := transport.Listen(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	l := open(cfg)
	nc, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	done := make(chan error, 1)
	go func() { done <- signed.Client(nc, "alice-1", key).Handshake() }()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	ch, err := l.Open(accepted)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	proof := ch.Proof()
	if err := resume(l, proof); err != nil {
		t.Fatalf("Resume() = %v", err)
	}
	for what, change := range map[string]func(*transport.Proof){
		"another key id":       func(p *transport.Proof) { p.Peer.Key = "bob-1" },
		"another key":          func(p *transport.Proof) { p.KeySum = make([]byte, 32) },
		"no key":               func(p *transport.Proof) { p.KeySum = nil },
		"a plain channel":      func(p *transport.Proof) { p.Peer.Channel = "tcp" },
		"TLS":                  func(p *transport.Proof) { p.Peer.Channel = "tls" },
		"the user as identity": func(p *transport.Proof) { p.Peer.Auth = object.AuthPeer },
		"an unknown method":    func(p *transport.Proof) { p.Peer.Auth = "x" },
	} {
		p := proof
		change(&p)
		if resume(l, p) == nil {
			t.Errorf("Resume() = nil with %s", what)
		}
	}
	key = signed.Key{2}
	if resume(l, proof) == nil {
		t.Error("Resume() = nil after the key was replaced")
	}
}
