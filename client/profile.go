package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/transport/keyfile"
	"github.com/hearthhost/hearth/transport/signed"
)

// Profile holds the address of a host and the client's credentials. It is a JSON file that all clients read. Paths
// are relative to the folder of the file.
type Profile struct {
	Address    string `json:"address"`               // "host:port", "[ipv6]:port" or "unix:path"
	Channel    string `json:"channel"`               // "plain", "hmac" or "tls"
	Key        string `json:"key,omitempty"`         // key file of the HMAC channel, which with "tls" is inside TLS
	CA         string `json:"ca,omitempty"`          // PEM file of the authorities for the host's certificate
	Cert       string `json:"cert,omitempty"`        // PEM file of the client's certificate and chain
	CertKey    string `json:"cert_key,omitempty"`    // PEM file of its private key
	ServerName string `json:"server_name,omitempty"` // name in the host's certificate; the host of Address if empty
}

// maxFileBytes bounds a profile and each file that it names.
const maxFileBytes = 1 << 20

// LoadProfile reads a profile. A profile decides which authorities are trusted, so it rejects a file that other users
// can write.
func LoadProfile(path string) (*Profile, error) {
	b, err := safefile.ReadPublic(path, maxFileBytes)
	if err != nil {
		return nil, fmt.Errorf("reading the profile: %w", err)
	}
	p := new(Profile)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, jsonError(path, b, d, err)
	}
	if d.More() {
		return nil, fmt.Errorf("profile %s:%d: more than one document", path, lineAt(b, d.InputOffset()))
	}
	for _, file := range []*string{&p.Key, &p.CA, &p.Cert, &p.CertKey} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(filepath.Dir(path), *file)
		}
	}
	if err := p.check(); err != nil {
		var wrong *fieldError
		if errors.As(err, &wrong) {
			if i := bytes.Index(b, strconv.AppendQuote(nil, wrong.field)); i >= 0 {
				return nil, fmt.Errorf("profile %s:%d: %w", path, lineAt(b, int64(i)), err)
			}
		}
		return nil, fmt.Errorf("profile %s: %w", path, err)
	}
	return p, nil
}

// fields lists the fields of a profile.
const fields = "address, channel, key, ca, cert, cert_key, server_name"

// jsonError returns the error for a malformed profile, with its line.
func jsonError(path string, text []byte, d *json.Decoder, err error) error {
	at := d.InputOffset()
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &kind):
		at = kind.Offset
		err = fmt.Errorf("expected a JSON object with the fields %s, not a JSON %s", fields, kind.Value)
		if kind.Field != "" {
			err = fmt.Errorf("%s: expected a JSON string, not a JSON %s", kind.Field, kind.Value)
		}
	case strings.Contains(err.Error(), "unknown field"):
		name := strings.TrimPrefix(err.Error(), "json: unknown field ")
		if i := bytes.Index(text, []byte(name)); i >= 0 {
			at = int64(i)
		}
		err = fmt.Errorf("unknown field %s; the fields are %s", name, fields)
	case errors.Is(err, io.EOF):
		err = errors.New("the file is empty; write a JSON object with the fields " + fields)
	}
	return fmt.Errorf("profile %s:%d: %w", path, lineAt(text, at), err)
}

// lineAt returns the line of a byte offset; the first line is 1.
func lineAt(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(offset, int64(len(text)))], []byte("\n"))
}

// fieldError is the error of one field of a profile.
type fieldError struct{ field, msg string }

func (e *fieldError) Error() string { return e.msg }

func (p *Profile) check() error {
	switch {
	case p.Address == "":
		return errors.New("address is missing")
	case p.Channel == "plain" && p.Key+p.CA+p.Cert+p.CertKey+p.ServerName != "":
		return &fieldError{"channel", "a plain channel has no key and no certificates"}
	case p.Channel == "hmac" && p.Key == "":
		return &fieldError{"channel", "channel hmac needs key, a key file"}
	case p.Channel == "hmac" && p.CA+p.Cert+p.CertKey+p.ServerName != "":
		return &fieldError{"channel", "the HMAC channel has no certificates; use channel tls"}
	case p.Channel == "tls" && p.CA == "":
		return &fieldError{"channel", "channel tls needs ca, the authority for the host's certificate"}
	case (p.Cert == "") != (p.CertKey == ""):
		return &fieldError{"cert", "cert and cert_key require each other"}
	case p.Channel != "plain" && p.Channel != "hmac" && p.Channel != "tls":
		return &fieldError{"channel", fmt.Sprintf("channel %q is unknown; use plain, hmac or tls", p.Channel)}
	}
	return nil
}

// Apply sets the address and the credentials in cfg. It reads the files. Only their owner may read key files, and
// other users must not be able to write the authorities.
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
			return fmt.Errorf("%s has no key", p.Key)
		}
		cfg.KeyID, cfg.Key = keys[0].ID, signed.Key(keys[0].Secret)
	}
	if p.Channel != "tls" {
		return nil
	}
	pem, err := safefile.ReadPublic(p.CA, maxFileBytes)
	if err != nil {
		return err
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), ServerName: p.ServerName}
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s has no certificate", p.CA)
	}
	if t.ServerName == "" {
		host, _, err := net.SplitHostPort(p.Address)
		if err != nil {
			return fmt.Errorf("server_name is missing: %s has no host name to check the certificate", p.Address)
		}
		t.ServerName = host
	}
	if p.Cert != "" {
		pair, err := safefile.ReadKeyPair(p.Cert, p.CertKey)
		if err != nil {
			return err
		}
		t.Certificates = []tls.Certificate{pair}
	}
	cfg.TLS = t
	return nil
}
