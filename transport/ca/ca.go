// Package ca is a small certificate authority for operators without one.
//
// An authority is a folder with four files. ca.pem is its certificate, ca.key its private key, issued has one line of
// JSON per certificate, revoked has the serial numbers that hosts reject. Certificates are ECDSA P-256. The authority
// cannot sign other authorities.
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

// Files of an authority.
const (
	CertFile    = "ca.pem"
	keyName     = "ca.key"
	issuedName  = "issued"
	RevokedFile = "revoked"
)

// Default validity of certificates, and the backdating that tolerates clock differences.
const (
	DefaultCADays   = 3650
	DefaultLeafDays = 90
	Soon            = 14 * 24 * time.Hour // remaining validity at which a certificate is reported
	backdate        = 5 * time.Minute
)

const maxNameBytes = 64

// CA is an open authority.
type CA struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// Init creates an authority in a folder and creates a missing folder. If the authority exists, the error wraps
// fs.ErrExist.
func Init(dir, name string, days int, now time.Time) (*CA, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.AddDate(0, 0, days),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyPEM, err := EncodeKey(key)
	if err != nil {
		return nil, err
	}
	// Write the key first: a certificate without a key would look like an authority.
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

// Open opens the authority in a folder. Only this process's user may have access to its key.
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
		return nil, fmt.Errorf("%s: contains no certificate", filepath.Join(dir, CertFile))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, CertFile), err)
	}
	block, _ = pem.Decode(keyPEM)
	if block == nil {
		return nil, fmt.Errorf("%s: contains no private key", filepath.Join(dir, keyName))
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

// Certificate returns the authority's certificate.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// PEM returns the authority's certificate in PEM.
func (c *CA) PEM() []byte { return encodeCert(c.cert.Raw) }

// Kind is the purpose of a certificate.
type Kind string

// Kinds of certificates.
const (
	Client Kind = "client"
	Server Kind = "server"
)

// Request describes a certificate to issue.
type Request struct {
	Name string // common name, and its name in the list of certificates
	Kind Kind
	DNS  []string
	IPs  []net.IP
	URIs []*url.URL
	Days int // validity; 0 means DefaultLeafDays; at most until the authority expires
	// PublicKey is the key to certify, from NewKey or from a signing request.
	PublicKey crypto.PublicKey
}

// Issue signs a certificate and records it. It returns the certificate in PEM, followed by the authority's certificate.
func (c *CA) Issue(r Request, now time.Time) ([]byte, *Issued, error) {
	if err := checkName(r.Name); err != nil {
		return nil, nil, err
	}
	if r.Days == 0 {
		r.Days = DefaultLeafDays
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: r.Name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.AddDate(0, 0, r.Days),
		DNSNames:              r.DNS,
		IPAddresses:           r.IPs,
		URIs:                  r.URIs,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	switch {
	case r.Kind == Client:
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case r.Kind == Server && len(r.DNS)+len(r.IPs) == 0:
		return nil, nil, errors.New("a host's certificate requires the names or addresses that clients use")
	case r.Kind == Server:
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	default:
		return nil, nil, fmt.Errorf("a certificate of kind %q", r.Kind)
	}
	// Reject keys before signing: clients and hosts would reject or slowly verify the certificate.
	public, err := certifiable(r.PublicKey)
	if err != nil {
		return nil, nil, fmt.Errorf("the certificate is for %w", err)
	}
	if err := c.expired(now); err != nil {
		return nil, nil, err
	}
	if template.NotAfter.After(c.cert.NotAfter) { // a certificate is not valid without its authority
		template.NotAfter = c.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, public, c.key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: %w", err)
	}
	sum := sha256.Sum256(der)
	one := &Issued{
		Serial: template.SerialNumber.Text(16),
		Name:   r.Name,
		Kind:   r.Kind,
		DNS:    r.DNS,
		From:   template.NotBefore.UTC(),
		Until:  template.NotAfter.UTC(),
		SHA256: hex.EncodeToString(sum[:]),
	}
	for _, ip := range r.IPs {
		one.IPs = append(one.IPs, ip.String())
	}
	for _, u := range r.URIs {
		one.URIs = append(one.URIs, u.String())
	}
	// Record it before returning it: an unrecorded certificate could not be revoked.
	if err := c.note(one); err != nil {
		return nil, nil, err
	}
	return append(encodeCert(der), c.PEM()...), one, nil
}

// expired returns an error if the authority's certificate has expired.
func (c *CA) expired(now time.Time) error {
	if now.After(c.cert.NotAfter) {
		return fmt.Errorf("the authority %q expired on %s: make another", c.cert.Subject.CommonName,
			c.cert.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// NewKey creates a key pair for a certificate.
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

// ReadRequest returns the public key of a certificate signing request in PEM. The signature proves that the sender
// has the private key. Names in the request are ignored: the operator chooses them. The key is checked before the
// signature.
func ReadRequest(text []byte) (*ecdsa.PublicKey, error) {
	if len(text) > MaxRequestBytes {
		return nil, fmt.Errorf("the signing request has %d bytes; at most %d are accepted", len(text), MaxRequestBytes)
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

// certifiable returns a public key if certificates are issued for its type. Other keys take long to verify or do not
// work with TLS 1.3.
func certifiable(key crypto.PublicKey) (*ecdsa.PublicKey, error) {
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T; ECDSA with P-256, P-384 or P-521 is required", key)
	}
	switch public.Curve {
	case elliptic.P256(), elliptic.P384(), elliptic.P521():
		return public, nil
	}
	return nil, fmt.Errorf("an ECDSA key with %s; P-256, P-384 or P-521 is required", public.Curve.Params().Name)
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// newSerial returns a random number of 127 bits, not 0.
func newSerial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

// checkName rejects names with characters that are special in file systems or terminals.
func checkName(name string) error {
	if len(name) == 0 || len(name) > maxNameBytes || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") ||
		strings.IndexFunc(name, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') &&
				!strings.ContainsRune("._@- ", r)
		}) >= 0 {
		return fmt.Errorf(
			"name %q: use 1 to %d letters, digits, '.', '_', '-', '@' and spaces, with a letter or digit first",
			name, maxNameBytes)
	}
	return nil
}
