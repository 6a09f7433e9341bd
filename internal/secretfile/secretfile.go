// Package secretfile reads and writes the files that hold secrets of objects, plain or
// encrypted with age. It knows nothing of whose they are.
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

// MaxBytes bounds a secret.
const MaxBytes = 64 << 10

// maxFile bounds an encrypted file: the secret, age's header with room for many
// recipients, and its tags.
const maxFile = MaxBytes + 64<<10

// maxIdentity bounds a file of identities.
const maxIdentity = 64 << 10

// Read returns the secret in a file that is nobody else's to read or write. identity is
// the file of the age identities that decrypt it; "" means that it is not encrypted. No
// error holds anything of the content.
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

// check says whether a value can be a secret. name stands in the error.
func check(name string, value []byte) error {
	if len(value) > MaxBytes {
		return fmt.Errorf("%s holds more than %d bytes", name, MaxBytes)
	}
	if n := len(redact.Core(string(value))); n < redact.MinBytes {
		return fmt.Errorf("%s holds %d bytes: a secret has %d at least, or it could not be taken out of logs and errors", name, n, redact.MinBytes)
	}
	return nil
}

// Write puts a secret into a file of mode 0600, in one step: whoever reads it meanwhile
// gets the old or the new one. Folders that are missing are made, for this user alone.
// With an identity file it is encrypted to the identities in it.
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
		return fmt.Errorf("%s is not a regular file, and would be replaced by one: remove it first", path)
	}
	return safefile.Replace(path, out, 0o600)
}

// seal encrypts a value to the identities in a file.
func seal(identity string, value []byte) ([]byte, error) {
	ids, err := identities(identity)
	if err != nil {
		return nil, err
	}
	var to []age.Recipient
	for _, id := range ids {
		x, ok := id.(*age.X25519Identity)
		if !ok {
			return nil, fmt.Errorf("%s holds an identity that is no AGE-SECRET-KEY-1…: age-keygen makes those", identity)
		}
		to = append(to, x.Recipient())
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to...)
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

// identities reads the file of the host's age identities. What age says of a file that
// it cannot read may quote it, and is not passed on.
func identities(path string) ([]age.Identity, error) {
	b, err := safefile.Read(path, maxIdentity)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: age-keygen -o %s makes an identity", err, path)
	}
	if err != nil {
		return nil, err
	}
	ids, err := age.ParseIdentities(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s holds no age identities: a line is AGE-SECRET-KEY-1… or a # comment, as age-keygen writes them", path)
	}
	return ids, nil
}
