package ca_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/transport/ca"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func newCA(t *testing.T) (*ca.CA, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	c, err := ca.Init(dir, "the authority", ca.DefaultCADays, now)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

func issue(t *testing.T, c *ca.CA, r ca.Request) (*x509.Certificate, *ca.Issued) {
	t.Helper()
	key, err := ca.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if r.PublicKey == nil {
		r.PublicKey = key.Public()
	}
	text, one, err := c.Issue(r, now)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ = pem.Decode(rest); block == nil || string(block.Bytes) != string(c.Certificate().Raw) {
		t.Error("the authority's certificate does not follow")
	}
	return leaf, one
}

// TestCertificatesHoldForWhatTheyAre verifies as hosts and clients do.
func TestCertificatesHoldForWhatTheyAre(t *testing.T) {
	c, _ := newCA(t)
	u, _ := url.Parse("spiffe://example/alice")
	client, _ := issue(t, c,
		ca.Request{Name: "alice", Kind: ca.Client, DNS: []string{"a.example"}, URIs: []*url.URL{u}})
	server, _ := issue(t, c,
		ca.Request{Name: "host", Kind: ca.Server, DNS: []string{"host.example"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	long, _ := issue(t, c, ca.Request{Name: "long", Kind: ca.Client, Days: 10 * ca.DefaultCADays})
	roots := x509.NewCertPool()
	roots.AddCert(c.Certificate())
	verify := func(leaf *x509.Certificate, name string, at time.Time, usage x509.ExtKeyUsage) error {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots:       roots,
			DNSName:     name,
			CurrentTime: at,
			KeyUsages:   []x509.ExtKeyUsage{usage},
		})
		return err
	}
	for what, tc := range map[string]struct {
		err error
		ok  bool
	}{
		"a client as client": {verify(client, "", now, x509.ExtKeyUsageClientAuth), true},
		"a client as server": {verify(client, "", now, x509.ExtKeyUsageServerAuth), false},
		"a client too late": {verify(client, "", now.AddDate(0, 0, ca.DefaultLeafDays+1),
			x509.ExtKeyUsageClientAuth), false},
		"a client too early":       {verify(client, "", now.Add(-time.Hour), x509.ExtKeyUsageClientAuth), false},
		"a server as server":       {verify(server, "host.example", now, x509.ExtKeyUsageServerAuth), true},
		"a server by its address":  {verify(server, "127.0.0.1", now, x509.ExtKeyUsageServerAuth), true},
		"a server of another name": {verify(server, "other.example", now, x509.ExtKeyUsageServerAuth), false},
		"a server as client":       {verify(server, "", now, x509.ExtKeyUsageClientAuth), false},
	} {
		if (tc.err == nil) != tc.ok {
			t.Errorf("%s: %v", what, tc.err)
		}
	}
	if long.NotAfter.After(c.Certificate().NotAfter) {
		t.Error("a certificate outlives its authority")
	}
	if client.Subject.CommonName != "alice" || client.URIs[0].String() != u.String() || client.IsCA {
		t.Errorf("the client's certificate has %v %v", client.Subject, client.URIs)
	}
	if _, _, err := c.Issue(ca.Request{Name: "late", Kind: ca.Client, PublicKey: client.PublicKey},
		now.AddDate(20, 0, 0)); err == nil {
		t.Error("an authority that has expired issued a certificate")
	}
}

func TestRequestsOfClients(t *testing.T) {
	c, _ := newCA(t)
	key, err := ca.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"evil.example"}},
		key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	public, err := ca.ReadRequest(text)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := issue(t, c, ca.Request{Name: "alice", Kind: ca.Client, PublicKey: public})
	if len(leaf.DNSNames) != 0 || !leaf.PublicKey.(*ecdsa.PublicKey).Equal(key.Public()) {
		t.Errorf("the certificate has names %v from the request, or another key", leaf.DNSNames)
	}
	der[len(der)-1] ^= 1
	if _, err := ca.ReadRequest(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})); err == nil {
		t.Error("a request whose signature is wrong was taken")
	}
	if _, err := ca.ReadRequest([]byte("x")); err == nil {
		t.Error("garbage was taken for a request")
	}
}

func TestRevoke(t *testing.T) {
	c, dir := newCA(t)
	_, one := issue(t, c, ca.Request{Name: "alice", Kind: ca.Client})
	_, two := issue(t, c, ca.Request{Name: "alice", Kind: ca.Client})
	if found, err := c.Find("alice", now); !errors.Is(err, ca.ErrAmbiguous) || len(found) != 2 {
		t.Errorf("Find() = %v, %v", found, err)
	}
	for range 2 {
		if err := c.Revoke(one, now); err != nil {
			t.Fatal(err)
		}
	}
	denied, err := ca.ReadDenylist(filepath.Join(dir, ca.RevokedFile))
	if diff := cmp.Diff(map[string]struct{}{one.Serial: {}}, denied); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if found, err := c.Find("alice", now); err != nil || len(found) != 1 || found[0].Serial != two.Serial {
		t.Errorf("Find() = %v, %v", found, err)
	}
	if found, err := c.Find(strings.ToUpper(one.Serial), now); err != nil || !found[0].Revoked {
		t.Errorf("Find(serial) = %v, %v", found, err)
	}
	if _, err := c.Find("alice", now.AddDate(1, 0, 0)); err == nil {
		t.Error("found a live certificate after all have expired")
	}
	if _, err := c.Find("mallory", now); err == nil {
		t.Error("found a certificate that was never issued")
	}
}

// TestRevokingThroughALink revokes where the list is a link to the one that hosts read.
func TestRevokingThroughALink(t *testing.T) {
	c, dir := newCA(t)
	_, one := issue(t, c, ca.Request{Name: "alice", Kind: ca.Client})
	read := filepath.Join(t.TempDir(), "denied")
	if err := os.Rename(filepath.Join(dir, ca.RevokedFile), read); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(read, filepath.Join(dir, ca.RevokedFile)); err != nil {
		t.Fatal(err)
	}
	if err := c.Revoke(one, now); err != nil {
		t.Fatal(err)
	}
	denied, err := ca.ReadDenylist(read)
	if _, ok := denied[one.Serial]; !ok || err != nil {
		t.Errorf("hosts read %v, %v", denied, err)
	}
}

// TestIssueCutShort leaves an incomplete line of a certificate that was never returned. Other certificates can be
// revoked and issued as before.
func TestIssueCutShort(t *testing.T) {
	c, dir := newCA(t)
	_, one := issue(t, c, ca.Request{Name: "alice", Kind: ca.Client})
	list := filepath.Join(dir, "issued")
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, append(text, text[:len(text)/2]...), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := c.Find("alice", now)
	if err != nil || len(found) != 1 || found[0].Serial != one.Serial {
		t.Fatalf("Find() = %v, %v", found, err)
	}
	if err := c.Revoke(found[0], now); err != nil {
		t.Error(err)
	}
	_, two := issue(t, c, ca.Request{Name: "bob", Kind: ca.Client})
	all, err := c.Issued()
	if err != nil || len(all) != 2 || !all[0].Revoked || all[1].Serial != two.Serial {
		t.Errorf("Issued() = %v, %v", all, err)
	}
}

// TestNothingIsLost issues and revokes from many sides at once.
func TestNothingIsLost(t *testing.T) {
	c, dir := newCA(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const n = 20
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			other, err := ca.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			_, one, err := other.Issue(ca.Request{Name: "x", Kind: ca.Client, PublicKey: key.Public()}, now)
			if err == nil {
				err = other.Revoke(one, now)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := c.Issued()
	if err != nil || len(all) != n {
		t.Errorf("%d of %d are known, %v", len(all), n, err)
	}
	for _, one := range all {
		if !one.Revoked {
			t.Errorf("%s is not revoked", one.Serial)
		}
	}
}

func TestFilesAreGuarded(t *testing.T) {
	_, dir := newCA(t)
	if _, err := ca.Init(dir, "another", 1, now); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second authority in the folder: %v", err)
	}
	for name, mode := range map[string]fs.FileMode{"ca.key": 0o600, "ca.pem": 0o644, "revoked": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, want %v (%v)", name, info.Mode().Perm(), mode, err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "ca.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Open(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a loose key: %v", err)
	}
	if _, err := ca.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "hearth ca init") {
		t.Errorf("no authority: %v", err)
	}
	for _, name := range []string{"", "a/b", "..", "-x", "a\nb", "ä", strings.Repeat("x", 65)} {
		if _, err := ca.Init(filepath.Join(t.TempDir(), "x"), name, 1, now); err == nil {
			t.Errorf("an authority is called %q", name)
		}
	}
}

func FuzzDenylist(f *testing.F) {
	f.Add("# x\n0a:0B # alice\n\nff\n")
	f.Add("xyz\n")
	f.Add("0\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "revoked")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		denied, _ := ca.ReadDenylist(path)
		for serial := range denied {
			if serial == "" || serial[0] == '0' || strings.ToLower(serial) != serial {
				t.Errorf("serial %q", serial)
			}
		}
	})
}

// TestRequestKeys has requests with keys that are not certified. A key is refused before its signature
// is verified, which takes long with a large RSA key.
func TestRequestKeys(t *testing.T) {
	c, _ := newCA(t)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	large := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16383, 1), E: 1<<16 + 1}
	for name, test := range map[string]struct {
		text []byte
		key  crypto.PublicKey
		want string
	}{
		"P-224":     {request(t, p224, nil), p224.Public(), "an ECDSA key with P-224"},
		"Ed25519":   {request(t, ed, nil), ed.Public(), "a key of type ed25519.PublicKey"},
		"large RSA": {request(t, ed, large), large, "a key of type *rsa.PublicKey"},
		"too long":  {make([]byte, ca.MaxRequestBytes+1), nil, "at most 8192"},
	} {
		if _, err := ca.ReadRequest(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: ReadRequest() = %v, want %q", name, err, test.want)
		}
		_, _, err := c.Issue(ca.Request{Name: "alice", Kind: ca.Client, PublicKey: test.key}, now)
		if err == nil ||
			!strings.Contains(err.Error(), "with P-256") && !strings.Contains(err.Error(), "P-224; P-256") {
			t.Errorf("%s: Issue() = %v", name, err)
		}
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if public, err := ca.ReadRequest(request(t, key, nil)); err != nil || !public.Equal(key.Public()) {
			t.Errorf("%s: %v", curve.Params().Name, err)
		}
	}
}

// request returns a certificate signing request. With public, that is its key instead of the signer's.
func request(t *testing.T, signer crypto.Signer, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if public != nil {
		var parts struct {
			Info struct {
				Version    int
				Subject    asn1.RawValue
				PublicKey  asn1.RawValue
				Attributes asn1.RawValue `asn1:"tag:0"`
			}
			Algorithm asn1.RawValue
			Signature asn1.BitString
		}
		if _, err := asn1.Unmarshal(der, &parts); err != nil {
			t.Fatal(err)
		}
		if parts.Info.PublicKey.FullBytes, err = x509.MarshalPKIXPublicKey(public); err != nil {
			t.Fatal(err)
		}
		if der, err = asn1.Marshal(parts); err != nil {
			t.Fatal(err)
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}
