package safefile

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/hearthhost/hearth/internal/shell"
)

// maxPEMBytes limits a file of certificates or a private key.
const maxPEMBytes = 1 << 20

// ReadKeyPair reads a certificate, its chain and its private key from PEM files. The key file must satisfy the
// checks of [Read], the certificate file those of [ReadPublic].
func ReadKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	key, err := ReadKeyPEM(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := ReadPublic(certFile, maxPEMBytes)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s with %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}

// ReadKeyPEM reads a PEM file with a private key, with the checks of [Read]. An encrypted key is an error: there is
// no prompt for its passphrase.
func ReadKeyPEM(path string) ([]byte, error) {
	text, err := Read(path, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return text, nil
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, fmt.Errorf("%s is encrypted with a passphrase; run openssl pkey -in %s -out NEW, "+
				"then chmod 600 NEW", path, shell.Path(path))
		}
	}
}
