// Package secretfile reads and writes files with one secret each, in plain text or encrypted with age. No error
// contains a part of a secret or of an identity.
package secretfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/hearthhost/hearth/internal/redact"
	"github.com/hearthhost/hearth/internal/safefile"
)

// MaxBytes is the largest size of a secret.
const MaxBytes = 64 << 10

// maxFile is the largest size of an encrypted file: the secret, age's header with many recipients, and its tags.
const maxFile = MaxBytes + 64<<10

// maxIdentity is the largest size of a file of identities.
const maxIdentity = 64 << 10

// Read returns the secret in a file. The file must satisfy [safefile.Read]. identity is the file of the age identities
// that decrypt it; "" reads a plain file.
func Read(path, identity string) ([]byte, error) {
	if identity == "" {
		value, err := safefile.Read(path, MaxBytes)
		if err != nil {
			return nil, err
		}
		return value, check(path, value)
	}
	ids, err := identities(identity)
	if err != nil {
		return nil, err
	}
	sealed, err := safefile.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), ids...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("%s is not encrypted to an identity of %s", path, identity)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not a file that age encrypted, or was damaged", path)
	}
	value, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s was damaged: it does not decrypt to its end", path)
	}
	return value, check(path, value)
}

// check returns an error for a value that is too long, or too short to be redacted. name is used in the error.
func check(name string, value []byte) error {
	if len(value) > MaxBytes {
		return fmt.Errorf("%s holds more than %d bytes", name, MaxBytes)
	}
	if n := len(redact.Core(string(value))); n < redact.MinBytes {
		return fmt.Errorf("%s holds %d bytes; a secret needs at least %d to be redacted in logs and errors",
			name, n, redact.MinBytes)
	}
	return nil
}

// Write writes a secret atomically into a file of mode 0600. Missing folders are created with mode 0700. With an
// identity file the secret is encrypted to the identities in it.
func Write(path, identity string, value []byte) error {
	if err := check("the value", value); err != nil {
		return err
	}
	out := value
	if identity != "" {
		var err error
		if out, err = seal(identity, value); err != nil {
			return err
		}
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file; remove it first", path)
	}
	return safefile.Replace(path, out, 0o600)
}

// seal encrypts a value to the identities in a file.
func seal(identity string, value []byte) ([]byte, error) {
	ids, err := identities(identity)
	if err != nil {
		return nil, err
	}
	var recipients []age.Recipient
	for _, id := range ids {
		x, ok := id.(*age.X25519Identity)
		if !ok {
			return nil, fmt.Errorf("%s holds an identity that is no AGE-SECRET-KEY-1…; "+
				"create one with age-keygen", identity)
		}
		recipients = append(recipients, x.Recipient())
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipients...)
	if err == nil {
		_, err = w.Write(value)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	return b.Bytes(), nil
}

// identities reads the file of the host's age identities. It does not return the parser's error, which may quote the
// file.
func identities(path string) ([]age.Identity, error) {
	b, err := safefile.Read(path, maxIdentity)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; create an identity with age-keygen -o %s", err, path)
	}
	if err != nil {
		return nil, err
	}
	ids, err := age.ParseIdentities(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s holds no age identities; a line is AGE-SECRET-KEY-1… or a # comment, "+
			"as age-keygen writes them", path)
	}
	return ids, nil
}
