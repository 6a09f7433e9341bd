package transport

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hearthhost/hearth/transport/signed"
)

// Bounds of the certificates that a client sends. Its chain is verified before the client proves possession of the key,
// so an attacker without a key can cause this work.
const (
	MaxClientCerts = 6
	maxRSABits     = 4096
	maxRSAExponent = 1<<16 + 1 // the bits of the exponent cost verification time
	maxNamesakes   = 2         // certificates with one subject: each is tried as an issuer
)

var (
	oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}
	clientUses    = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
)

// unproven is the error of a client whose certificate does not prove its identity.
type unproven struct{ error }

func (u unproven) Unwrap() error { return u.error }

// Unproven reports whether a handshake failed because the peer did not prove its claimed identity: the key is unknown
// or wrong, or the certificate is invalid or revoked.
func Unproven(err error) bool {
	var u unproven
	return errors.As(err, &u) || errors.Is(err, signed.ErrProof) || errors.Is(err, signed.ErrLeft)
}

// verify returns the chains from a client's certificate to the listener's authorities.
func (t *ServerTLS) verify(certs []*x509.Certificate) ([][]*x509.Certificate, error) {
	if len(certs) == 0 {
		return nil, nil // the TLS configuration decides whether a certificate is required
	}
	if err := boundChain(certs); err != nil {
		return nil, err
	}
	leaf := certs[0]
	if err := checkLeaf(leaf); err != nil {
		return nil, err
	}
	between := x509.NewCertPool()
	for _, cert := range certs[1:] {
		between.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots:         t.config.ClientCAs,
		Intermediates: between,
		CurrentTime:   time.Now(),
		KeyUsages:     clientUses,
	})
	if err != nil {
		return nil, err
	}
	return chains, t.allows(chains)
}

// boundChain rejects certificates whose verification could take long.
func boundChain(certs []*x509.Certificate) error {
	if len(certs) > MaxClientCerts {
		return fmt.Errorf("the client sent %d certificates; at most %d are accepted: its own and the intermediate ones",
			len(certs), MaxClientCerts)
	}
	for i, cert := range certs {
		if err := boundKey(cert.PublicKey); err != nil {
			return fmt.Errorf("certificate %d of the client: %w", i+1, err)
		}
		namesakes := 0
		for _, other := range certs {
			if string(other.RawSubject) == string(cert.RawSubject) {
				namesakes++
			}
		}
		if namesakes > maxNamesakes {
			return fmt.Errorf("%d certificates of the client have one subject; at most %d are accepted", namesakes,
				maxNamesakes)
		}
	}
	return nil
}

func boundKey(key any) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n > maxRSABits {
			return fmt.Errorf("an RSA key of %d bits; at most %d are accepted", n, maxRSABits)
		}
		if key.E > maxRSAExponent {
			return fmt.Errorf("an RSA key with the exponent %d; at most %d is accepted", key.E, maxRSAExponent)
		}
		return nil
	}
	return fmt.Errorf("a public key of type %T; ECDSA, Ed25519 and RSA are accepted", key)
}

// checkLeaf rejects a client certificate that may not be meant as such: without the extended key usage for clients, or
// with several common names, of which the policy reads only one.
func checkLeaf(leaf *x509.Certificate) error {
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return errors.New(
			"the client's certificate is not for clients: issue it with the extended key usage clientAuth")
	}
	names := 0
	for _, name := range leaf.Subject.Names {
		if name.Type.Equal(oidCommonName) {
			names++
		}
	}
	if names > 1 {
		return fmt.Errorf("the client's certificate has %d common names; issue it with one", names)
	}
	return nil
}
