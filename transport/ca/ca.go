// Package ca is a small certificate authority, for operators who have none.
//
// An authority is a folder: ca.pem, its certificate; ca.key, its private key; issued, a
// line of JSON for each certificate; revoked, the serial numbers that hosts refuse.
// Certificates are ECDSA P-256. The authority cannot vouch for other authorities.
package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hearthhost/hearth/internal/safefile"
)

// The files of an authority.
const (
	CertFile    = "ca.pem"
	keyName     = "ca.key"
	issuedName  = "issued"
	RevokedFile = "revoked"
)

// How long certificates are valid by default, and how far back, for clocks that differ.
const (
	DefaultCADays   = 3650
	DefaultLeafDays = 90
	Soon            = 14 * 24 * time.Hour // before its end, a certificate is warned of
	backdate        = 5 * time.Minute
)

const maxNameBytes = 64

// CA is an authority that was opened.
type CA struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// Init makes an authority in a folder, which is made if it is missing. If there is one
// already the error wraps fs.ErrExist.
func Init(dir, name string, days int, now time.Time) (*CA, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate), NotAfter: now.AddDate(0, 0, days),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyPEM, err := EncodeKey(key)
	if err != nil {
		return nil, err
	}
	// The key first: a certificate without one would look like an authority.
	if err := safefile.Create(filepath.Join(dir, keyName), keyPEM, 0o600); err != nil {
		return nil, err
	}
	if err := safefile.Create(filepath.Join(dir, CertFile), encodeCert(der), 0o644); err != nil {
		return nil, err
	}
	if err := safefile.Create(filepath.Join(dir, RevokedFile),
		[]byte("# Serial numbers of certificates that hosts refuse, one a line.\n"), 0o644); err != nil &&
		!errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return Open(dir)
}

// Open opens the authority of a folder. Its key must be this process's user's alone.
func Open(dir string) (*CA, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, CertFile)) //nolint:gosec // the operator names it
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no authority in %s: hearth ca init makes one: %w", dir, err)
	}
	if err != nil {
		return nil, err
	}
	keyPEM, err := safefile.ReadKeyPEM(filepath.Join(dir, keyName))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, fmt.Errorf("%s: no certificate in it", filepath.Join(dir, CertFile))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, CertFile), err)
	}
	block, _ = pem.Decode(keyPEM)
	if block == nil {
		return nil, fmt.Errorf("%s: no private key in it", filepath.Join(dir, keyName))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s: not a private key in PKCS#8", filepath.Join(dir, keyName))
	}
	if own, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !own.Equal(key.Public()) {
		return nil, fmt.Errorf("%s and %s in %s do not belong together", CertFile, keyName, dir)
	}
	return &CA{dir: dir, cert: cert, key: key}, nil
}

// Certificate returns the authority's own certificate.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// PEM returns the authority's own certificate as a file has it.
func (c *CA) PEM() []byte { return encodeCert(c.cert.Raw) }

// Kind says for whom a certificate is.
type Kind string

// The kinds of certificate.
const (
	Client Kind = "client"
	Server Kind = "server"
)

// Request asks for a certificate.
type Request struct {
	Name string // common name, and what the authority calls it
	Kind Kind
	DNS  []string
	IPs  []net.IP
	URIs []*url.URL
	Days int // 0: DefaultLeafDays; never longer than the authority lives
	// PublicKey is the key to certify: of a key that NewKey made, or of a signing request.
	PublicKey crypto.PublicKey
}

// Issue signs a certificate, notes it, and returns it as PEM, the authority's own behind
// it.
func (c *CA) Issue(r Request, now time.Time) ([]byte, *Issued, error) {
	if err := checkName(r.Name); err != nil {
		return nil, nil, err
	}
	if r.Days == 0 {
		r.Days = DefaultLeafDays
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: r.Name},
		NotBefore: now.Add(-backdate), NotAfter: now.AddDate(0, 0, r.Days),
		DNSNames: r.DNS, IPAddresses: r.IPs, URIs: r.URIs,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	switch {
	case r.Kind == Client:
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case r.Kind == Server && len(r.DNS)+len(r.IPs) == 0:
		return nil, nil, errors.New("a host's certificate needs the names or addresses that clients call it by")
	case r.Kind == Server:
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	default:
		return nil, nil, fmt.Errorf("a certificate of kind %q", r.Kind)
	}
	public, err := certifiable(r.PublicKey)
	if err != nil {
		return nil, nil, fmt.Errorf("the certificate is for %w", err)
	}
	if err := c.expired(now); err != nil {
		return nil, nil, err
	}
	if template.NotAfter.After(c.cert.NotAfter) {
		template.NotAfter = c.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, public, c.key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: %w", err)
	}
	sum := sha256.Sum256(der)
	one := &Issued{Serial: template.SerialNumber.Text(16), Name: r.Name, Kind: r.Kind, DNS: r.DNS,
		From: template.NotBefore.UTC(), Until: template.NotAfter.UTC(), SHA256: hex.EncodeToString(sum[:])}
	for _, ip := range r.IPs {
		one.IPs = append(one.IPs, ip.String())
	}
	for _, u := range r.URIs {
		one.URIs = append(one.URIs, u.String())
	}
	// Noted before it is handed out: what nobody knows of nobody could revoke.
	if err := c.note(one); err != nil {
		return nil, nil, err
	}
	return append(encodeCert(der), c.PEM()...), one, nil
}

// expired is the error of an authority whose certificate has expired.
func (c *CA) expired(now time.Time) error {
	if now.After(c.cert.NotAfter) {
		return fmt.Errorf("the authority %q expired on %s: make another", c.cert.Subject.CommonName,
			c.cert.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// NewKey makes a key pair for a certificate.
func NewKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// EncodeKey returns a private key as PKCS#8 PEM.
func EncodeKey(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// MaxRequestBytes bounds a certificate signing request.
const MaxRequestBytes = 8 << 10

// ReadRequest returns the public key of a certificate signing request in PEM, whose
// signature proves that its sender has the private one. Names that it asks for do not
// count: the operator says who it is. The key is checked before the signature is.
func ReadRequest(text []byte) (*ecdsa.PublicKey, error) {
	if len(text) > MaxRequestBytes {
		return nil, fmt.Errorf("the signing request has %d bytes; want at most %d", len(text), MaxRequestBytes)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("not a certificate signing request in PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("not a certificate signing request: %w", err)
	}
	public, err := certifiable(csr.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("the signing request has %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the signing request is not signed by its own key: %w", err)
	}
	return public, nil
}

// certifiable returns a public key if it is of a kind that certificates are issued for: others take
// long to verify, or cannot be used for TLS 1.3.
func certifiable(key crypto.PublicKey) (*ecdsa.PublicKey, error) {
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T; want ECDSA with P-256, P-384 or P-521", key)
	}
	switch public.Curve {
	case elliptic.P256(), elliptic.P384(), elliptic.P521():
		return public, nil
	}
	return nil, fmt.Errorf("an ECDSA key with %s; want P-256, P-384 or P-521", public.Curve.Params().Name)
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// newSerial returns a random number of 127 bits that is not 0.
func newSerial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

// checkName refuses names that would mean something to a file system or a terminal.
func checkName(name string) error {
	if len(name) == 0 || len(name) > maxNameBytes || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") ||
		strings.IndexFunc(name, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') &&
				!strings.ContainsRune("._@- ", r)
		}) >= 0 {
		return fmt.Errorf("name %q: want 1 to %d letters, digits, '.', '_', '-', '@' and spaces, a letter or digit first", name, maxNameBytes)
	}
	return nil
}
