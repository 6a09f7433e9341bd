package transport

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/object"
)

// TLSFiles has the paths and settings of a listener's certificates.
type TLSFiles struct {
	Cert, Key string          // PEM: certificate chain and private key of the host
	ClientCA  []string        // PEM: authorities of client certificates
	Min12     bool            // accept TLS 1.2
	Required  bool            // require a client certificate
	Denied    map[string]bool // serials, lower-case hexadecimal without leading zeros
}

// ServerTLS is the configuration of TLS handshakes: an immutable reading of a listener's files.
type ServerTLS struct {
	config *tls.Config
	roots  map[string]string // DER of an authority → its file
	denied map[string]bool
	chain  []*x509.Certificate // certificate of the host and its authorities, leaf first
}

// maxPEMBytes bounds a file of authorities.
const maxPEMBytes = 1 << 20

// LoadTLS reads a listener's certificates. Only this process's user may have access to the private key. The error
// joins the errors of all unreadable files. Their content is taken from last, unless last is nil: an unreadable
// certificate of the host must not delay a revocation. A certificate that is expired or not valid yet does not
// replace a valid one.
//
// Sessions are never resumed: each handshake requests and verifies the client's certificate.
func LoadTLS(f TLSFiles, last *ServerTLS) (*ServerTLS, error) {
	t := &ServerTLS{roots: map[string]string{}, denied: f.Denied}
	t.config = &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
	}
	if f.Min12 {
		t.config.MinVersion = tls.VersionTLS12
	}
	ownErr := t.readHostChain(f)
	if now := time.Now(); ownErr == nil && last != nil && valid(last.chain[0], now) && !valid(t.chain[0], now) {
		ownErr = fmt.Errorf(
			"%s: the certificate is valid from %s to %s, not now; the one that was read before stays in use", f.Cert,
			t.chain[0].NotBefore.Format(time.DateOnly), t.chain[0].NotAfter.Format(time.DateOnly))
	}
	if ownErr != nil && last != nil {
		t.chain, t.config.Certificates = last.chain, last.config.Certificates
	}
	err := t.trust(f)
	if err != nil && last != nil {
		t.roots, t.config.ClientCAs = last.roots, last.config.ClientCAs
	}
	err = errors.Join(ownErr, err)
	if err != nil && last == nil {
		return nil, err
	}
	return t, err
}

// readHostChain reads the host's certificate chain and key.
func (t *ServerTLS) readHostChain(f TLSFiles) error {
	pair, err := safefile.ReadKeyPair(f.Cert, f.Key)
	if err != nil {
		return err
	}
	t.chain = nil
	for _, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Cert, err)
		}
		t.chain = append(t.chain, cert)
	}
	t.config.Certificates = []tls.Certificate{pair}
	return nil
}

// valid reports whether a certificate is valid at a time, according to its dates.
func valid(cert *x509.Certificate, at time.Time) bool {
	return !at.Before(cert.NotBefore) && !at.After(cert.NotAfter)
}

// trust reads the authorities of client certificates, if client certificates are accepted.
func (t *ServerTLS) trust(f TLSFiles) error {
	if len(f.ClientCA) == 0 {
		return nil
	}
	// Go would verify any number of certificates, so verify bounds them first.
	t.config.ClientAuth = tls.RequestClientCert
	if f.Required {
		t.config.ClientAuth = tls.RequireAnyClientCert
	}
	t.config.ClientCAs = x509.NewCertPool()
	for _, file := range f.ClientCA {
		if err := t.addAuthorities(file); err != nil {
			return err
		}
	}
	return nil
}

// addAuthorities reads a PEM file of authorities.
func (t *ServerTLS) addAuthorities(file string) error {
	certs, err := readAuthorities(file)
	if err != nil {
		return err
	}
	for _, cert := range certs {
		if other := t.roots[string(cert.Raw)]; other != "" && other != file {
			return fmt.Errorf("%s: the authority %q is already in %s", file, cert.Subject.CommonName, other)
		}
		t.config.ClientCAs.AddCert(cert)
		t.roots[string(cert.Raw)] = file
	}
	return nil
}

// ReadCertificates returns the certificates of a PEM file, which has at least one.
func ReadCertificates(file string) ([]*x509.Certificate, error) {
	rest, err := safefile.ReadPublic(file, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s: contains a %s; only certificates are accepted", file, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: contains no certificate", file)
	}
	return out, nil
}

// readAuthorities returns the certificates of a PEM file of authorities.
func readAuthorities(file string) ([]*x509.Certificate, error) {
	certs, err := ReadCertificates(file)
	for _, cert := range certs {
		if !cert.IsCA {
			return nil, fmt.Errorf("%s: the certificate of %q is not an authority", file, cert.Subject.CommonName)
		}
	}
	return certs, err
}

// oidNameConstraints is the extension that limits an authority to some names.
var oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// NameConstrained reports whether an authority in a file has name constraints. They do not apply to common names.
func NameConstrained(file string) (bool, error) {
	certs, err := readAuthorities(file)
	return slices.ContainsFunc(certs, func(c *x509.Certificate) bool {
		return slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNameConstraints) })
	}), err
}

// handshake makes the host's part of a TLS handshake, which offers protocols. It returns the verified chains of the
// client's certificate, none without a client certificate.
func (t *ServerTLS) handshake(
	nc net.Conn, protocols []string,
) (tc *tls.Conn, chains [][]*x509.Certificate, err error) {
	config := t.config.Clone()
	config.NextProtos = protocols
	config.VerifyConnection = func(state tls.ConnectionState) (err error) {
		chains, err = t.verify(state.PeerCertificates)
		if err != nil {
			return unproven{err}
		}
		return nil
	}
	tc = tls.Server(nc, config)
	if err := tc.Handshake(); err != nil { //nolint:noctx // the connection has a deadline
		return nil, nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return tc, chains, nil
}

// allows returns an error if one of the certificates is revoked.
func (t *ServerTLS) allows(chains [][]*x509.Certificate) error {
	for _, chain := range chains {
		for _, cert := range chain {
			if s := serial(cert.SerialNumber); t.denied[s] {
				return fmt.Errorf("certificate %s was revoked", s)
			}
		}
	}
	return nil
}

// holds returns the reason why a chain that was verified earlier is no longer valid; nil if it is.
func (t *ServerTLS) holds(chains [][]*x509.Certificate, peer *object.Certificate, now time.Time) error {
	chain := chains[0]
	for _, cert := range chain {
		if now.After(cert.NotAfter) {
			return fmt.Errorf("certificate %s has expired", serial(cert.SerialNumber))
		}
	}
	if t.roots[string(chain[len(chain)-1].Raw)] != peer.CA {
		return fmt.Errorf("the authority of certificate %s is no longer trusted", peer.Serial)
	}
	return t.allows(chains)
}

// describe returns the attributes of a verified certificate for the policy.
func (t *ServerTLS) describe(chain []*x509.Certificate) *object.Certificate {
	leaf, root := chain[0], chain[len(chain)-1]
	sum := sha256.Sum256(leaf.Raw)
	out := &object.Certificate{
		CA:         t.roots[string(root.Raw)],
		CommonName: leaf.Subject.CommonName,
		Serial:     serial(leaf.SerialNumber),
		SHA256:     hex.EncodeToString(sum[:]),
	}
	for _, name := range leaf.DNSNames {
		out.DNS = append(out.DNS, strings.ToLower(name)) // host names are compared in lower case
	}
	for _, u := range leaf.URIs {
		out.URIs = append(out.URIs, u.String())
	}
	return out
}

// Chain returns the host's certificate and the authorities that are sent with it.
func (t *ServerTLS) Chain() []*x509.Certificate { return t.chain }

// serial returns a serial number in the form in which it is compared.
func serial(n *big.Int) string { return n.Text(16) }
