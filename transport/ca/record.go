package ca

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/internal/safefile"
)

// Issued is the authority's record of a certificate.
type Issued struct {
	Serial  string    `json:"serial"` // lower-case hexadecimal
	Name    string    `json:"name"`
	Kind    Kind      `json:"kind"`
	DNS     []string  `json:"dns,omitempty"`
	IPs     []string  `json:"ips,omitempty"`
	URIs    []string  `json:"uris,omitempty"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	SHA256  string    `json:"sha256"`
	Revoked bool      `json:"-"`
}

// Live reports whether the certificate is valid at a time.
func (i *Issued) Live(now time.Time) bool { return !i.Revoked && now.Before(i.Until) }

// Ready reports why the authority cannot issue certificates now: it has expired, or its list of certificates is not
// writable.
func (c *CA) Ready(now time.Time) error {
	if err := c.expired(now); err != nil {
		return err
	}
	return c.change(func(*os.File) error { return nil })
}

// change opens the list of certificates for writing and locks it.
func (c *CA) change(write func(*os.File) error) error {
	unlock, err := safefile.Lock(c.dir)
	if err != nil {
		return err
	}
	defer unlock()
	f, err := os.OpenFile(filepath.Join(c.dir, issuedName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// note appends a line to the list of certificates. It removes an incomplete last line, left by a killed process or a
// full disk: that certificate was never returned.
func (c *CA) note(one *Issued) error {
	line, err := json.Marshal(one)
	if err != nil {
		return err
	}
	return c.change(func(f *os.File) error {
		text, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		end := int64(len(whole(text)))
		if end > 0 && text[end-1] != '\n' {
			line = append([]byte("\n"), line...)
		}
		if err := f.Truncate(end); err != nil {
			return err
		}
		if _, err := f.WriteAt(append(line, '\n'), end); err != nil {
			return err
		}
		return f.Sync()
	})
}

// whole returns the list without an incomplete last line.
func whole(text []byte) []byte {
	end := bytes.LastIndexByte(text, '\n') + 1
	if json.Valid(text[end:]) {
		return text
	}
	return text[:end]
}

// Issued returns all issued certificates, oldest first.
func (c *CA) Issued() ([]*Issued, error) {
	path := filepath.Join(c.dir, issuedName)
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	denied, err := ReadDenylist(filepath.Join(c.dir, RevokedFile))
	if err != nil {
		return nil, err
	}
	var all []*Issued
	n := 0
	for line := range bytes.Lines(whole(text)) {
		n++
		one := new(Issued)
		if err := json.Unmarshal(line, one); err != nil {
			return nil, fmt.Errorf("%s:%d: not a line of this list: %w", path, n, err)
		}
		_, one.Revoked = denied[one.Serial]
		all = append(all, one)
	}
	return all, nil
}

// ErrAmbiguous reports that several certificates have the name.
var ErrAmbiguous = errors.New("several certificates have this name")

// Find returns the certificate with a serial number, or the live certificate with a name. If several match, it returns
// all of them and an error that wraps ErrAmbiguous.
func (c *CA) Find(nameOrSerial string, now time.Time) ([]*Issued, error) {
	all, err := c.Issued()
	if err != nil {
		return nil, err
	}
	var found, dead []*Issued
	for _, one := range all {
		switch {
		case one.Serial == plainSerial(nameOrSerial):
			return []*Issued{one}, nil
		case one.Name == nameOrSerial && one.Live(now):
			found = append(found, one)
		case one.Name == nameOrSerial:
			dead = append(dead, one)
		}
	}
	switch {
	case len(found) > 1:
		return found, fmt.Errorf("%w: name the serial number of one", ErrAmbiguous)
	case len(found) == 1:
		return found, nil
	case len(dead) > 0:
		return nil, fmt.Errorf("every certificate of %s is revoked or expired", nameOrSerial)
	}
	return nil, fmt.Errorf("no certificate was issued with the name or serial number %s", nameOrSerial)
}

// Newest returns the certificate with a serial number, or the newest certificate with a name, live or not; nil if none
// matches.
func (c *CA) Newest(nameOrSerial string) (*Issued, error) {
	all, err := c.Issued()
	for _, one := range slices.Backward(all) {
		if one.Serial == plainSerial(nameOrSerial) || one.Name == nameOrSerial {
			return one, err
		}
	}
	return nil, err
}

// plainSerial returns a serial number in the form of this package: in lower case, without colons and leading zeros.
func plainSerial(s string) string {
	return strings.TrimLeft(strings.ToLower(strings.ReplaceAll(s, ":", "")), "0")
}

// Revoke adds a certificate to the list of certificates that hosts reject. Repeating it does nothing.
func (c *CA) Revoke(one *Issued, now time.Time) error {
	unlock, err := safefile.Lock(c.dir)
	if err != nil {
		return err
	}
	defer unlock()
	path := filepath.Join(c.dir, RevokedFile)
	// The path may be a link to the file that hosts read: replace that file, not the link.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	denied, err := parseDenylist(path, text)
	if err != nil {
		return err
	}
	if _, ok := denied[one.Serial]; ok {
		return nil
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	text = fmt.Appendf(text, "%s # %s, revoked %s\n", one.Serial, one.Name, now.UTC().Format(time.RFC3339))
	return safefile.Replace(path, text, 0o644)
}

// maxDenylistBytes bounds a list of serial numbers.
const maxDenylistBytes = 16 << 20

// ReadDenylist reads a file of serial numbers, one hexadecimal number per line, with or without colons. '#' begins a
// comment. The result is in lower case without leading zeros. The error joins the errors of all wrong lines; the
// correct lines are returned too. If the file is unreadable, the result is nil.
func ReadDenylist(path string) (map[string]struct{}, error) {
	text, err := safefile.ReadPublic(path, maxDenylistBytes)
	if err != nil {
		return nil, err
	}
	return parseDenylist(path, text)
}

func parseDenylist(path string, text []byte) (map[string]struct{}, error) {
	out := map[string]struct{}{}
	var problems []error
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if strings.Trim(line, ":") == "" {
			continue
		}
		plain := plainSerial(line)
		if plain == "" || len(plain) > 64 || strings.Trim(plain, "0123456789abcdef") != "" {
			problems = append(problems,
				fmt.Errorf("%s:%d: a line has one serial number in hexadecimal, optionally followed by # and a comment",
					path, n))
			continue
		}
		out[plain] = struct{}{}
	}
	return out, errors.Join(problems...)
}
