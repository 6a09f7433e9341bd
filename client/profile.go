package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/hearthhost/hearth/transport/keyfile"
	"github.com/hearthhost/hearth/transport/signed"
)

// Profile says how to reach a host and as whom, as it stands in a JSON file that all
// clients read. Paths are relative to the file's folder.
type Profile struct {
	Address    string `json:"address"`               // "host:port", "[ipv6]:port" or "unix:path"
	Channel    string `json:"channel"`               // "plain", "hmac" or "tls"
	Key        string `json:"key,omitempty"`         // key file of the HMAC channel; with "tls" it runs inside
	CA         string `json:"ca,omitempty"`          // PEM file of the authorities that vouch for the host
	Cert       string `json:"cert,omitempty"`        // PEM file of the client's certificate and chain
	CertKey    string `json:"cert_key,omitempty"`    // PEM file of its private key
	ServerName string `json:"server_name,omitempty"` // name in the host's certificate; the host of Address if empty
}

// LoadProfile reads a profile.
func LoadProfile(path string) (*Profile, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, fmt.Errorf("reading the profile: %w", err)
	}
	p := new(Profile)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("profile %s: %w", path, err)
	}
	if d.More() {
		return nil, fmt.Errorf("profile %s: more than one document", path)
	}
	for _, file := range []*string{&p.Key, &p.CA, &p.Cert, &p.CertKey} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(filepath.Dir(path), *file)
		}
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("profile %s: %w", path, err)
	}
	return p, nil
}

func (p *Profile) check() error {
	switch {
	case p.Address == "":
		return errors.New("address is missing")
	case p.Channel == "plain" && p.Key+p.CA+p.Cert+p.CertKey+p.ServerName != "":
		return errors.New("a plain channel has no key and no certificates")
	case p.Channel == "hmac" && p.Key == "":
		return errors.New("channel hmac needs key, a key file")
	case p.Channel == "hmac" && p.CA+p.Cert+p.CertKey+p.ServerName != "":
		return errors.New("the HMAC channel has no certificates: want channel tls")
	case p.Channel == "tls" && p.CA == "":
		return errors.New("channel tls needs ca, the authority that vouches for the host")
	case (p.Cert == "") != (p.CertKey == ""):
		return errors.New("cert and cert_key belong together")
	case p.Channel != "plain" && p.Channel != "hmac" && p.Channel != "tls":
		return fmt.Errorf("channel %q: want plain, hmac or tls", p.Channel)
	}
	return nil
}

// Apply sets the address and the security of a configuration. The files are read now.
func (p *Profile) Apply(cfg *Config) error {
	if err := p.check(); err != nil {
		return err
	}
	cfg.Address = p.Address
	if p.Key != "" {
		keys, err := keyfile.Read(p.Key)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return fmt.Errorf("%s holds no key", p.Key)
		}
		cfg.KeyID, cfg.Key = keys[0].ID, signed.Key(keys[0].Secret)
	}
	if p.Channel != "tls" {
		return nil
	}
	pem, err := os.ReadFile(p.CA)
	if err != nil {
		return err
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), ServerName: p.ServerName}
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: no certificate in it", p.CA)
	}
	if t.ServerName == "" {
		host, _, err := net.SplitHostPort(p.Address)
		if err != nil {
			return fmt.Errorf("server_name is missing: %s does not say whose certificate to expect", p.Address)
		}
		t.ServerName = host
	}
	if p.Cert != "" {
		pair, err := tls.LoadX509KeyPair(p.Cert, p.CertKey)
		if err != nil {
			return fmt.Errorf("%s with %s: %w", p.Cert, p.CertKey, err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	cfg.TLS = t
	return nil
}
