// Package keyfile reads and writes files of keys of the HMAC channel and of bearer keys.
//
// A key file is text. Empty lines and lines that begin with '#' are ignored; each other line is a key:
//
//	hearth-key-1    <id> <32 bytes, base64url without padding> <creation time, RFC 3339, UTC>
//	hearth-bearer-1 <id> <SHA-256 of the token, likewise>      <creation time>
//
// Fields are separated by one space. All keys of a file are of one kind. A file of bearer keys cannot be used by a
// client: only the holder of a token has it.
//
// The newest key is first. Clients use the first key, hosts accept all keys. To rotate a key, add a new one at the top,
// distribute it and remove the old one.
package keyfile

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
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

// Limits of a file.
const (
	maxFileBytes = 1 << 20
	maxIDBytes   = 64
)

// First fields of lines.
const (
	lineMagic   = "hearth-key-1"
	bearerMagic = "hearth-bearer-1"
)

// Key is a key. Its formatted text contains its id only.
type Key struct {
	ID      string
	Secret  [32]byte // of a bearer key: SHA-256 of its token
	Created time.Time
	Bearer  bool // bearer key
}

// Format implements [fmt.Formatter] for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "key "+k.ID) }

// MarshalText implements encoding.TextMarshaler.
func (k Key) MarshalText() ([]byte, error) { return []byte("key " + k.ID), nil }

// New creates a key. The id has 1 to 64 letters, digits, '.', '_' and '-'.
func New(id string, now time.Time) (Key, error) {
	if !validID(id) {
		return Key{}, fmt.Errorf("key id %q: use 1 to %d letters, digits, '.', '_' and '-'", id, maxIDBytes)
	}
	k := Key{ID: id, Created: now.UTC().Truncate(time.Second)}
	_, _ = rand.Read(k.Secret[:]) // never fails
	return k, nil
}

func validID(id string) bool {
	return len(id) > 0 && len(id) <= maxIDBytes && strings.IndexFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._-", c)
	}) < 0
}

// Parse parses the text of a key file; name is for error texts. The error joins the errors of all wrong lines and
// contains no secrets.
func Parse(name string, text []byte) ([]Key, error) {
	keys, err := parse(name, text)
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// parse is Parse that also returns the correct keys with an error.
func parse(name string, text []byte) ([]Key, error) {
	var keys []Key
	var problems []error
	n := 0
	for line := range bytes.Lines(text) {
		n++
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		k, err := parseLine(string(line))
		if err == nil && slices.ContainsFunc(keys, func(o Key) bool { return o.ID == k.ID }) {
			err = fmt.Errorf("key id %s is a duplicate", k.ID)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", name, n, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, errors.Join(problems...)
}

func parseLine(line string) (k Key, err error) {
	f := strings.Split(line, " ")
	if len(f) != 4 || f[0] != lineMagic && f[0] != bearerMagic {
		return k, errors.New("not a key: a line has " + lineMagic + " or " + bearerMagic +
			", id, secret and time, separated by single spaces")
	}
	if !validID(f[1]) {
		return k, errors.New("the key's id is not 1 to 64 letters, digits, '.', '_' and '-'")
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(f[2])
	if err != nil || len(secret) != len(k.Secret) {
		return k, fmt.Errorf("the secret of key %s is not 32 bytes in base64url without padding", f[1])
	}
	made, err := time.Parse(time.RFC3339Nano, f[3])
	if err != nil || !strings.HasSuffix(f[3], "Z") {
		return k, fmt.Errorf("the time of key %s is not like 2026-01-31T12:00:00Z", f[1])
	}
	return Key{ID: f[1], Secret: [32]byte(secret), Created: made, Bearer: f[0] == bearerMagic}, nil
}

// ErrLines reports that a file was read and some of its lines are not keys.
var ErrLines = errors.New("not every line is a key")

// Read reads a file of keys of the HMAC channel. Only this process's user may have access to it. The error names the
// file and, if possible, the command that fixes it. If it wraps ErrLines, the keys of the correct lines are returned.
func Read(path string) ([]Key, error) {
	return readKind(path, false, "is a bearer key: name the file in bearer of its principal")
}

// ReadBearer is Read for a file of bearer keys.
func ReadBearer(path string) ([]Key, error) {
	return readKind(path, true, "is a key of the HMAC channel: name the file in keys of its principal")
}

// readKind reads a file with keys of one kind. other describes a key of the other kind.
func readKind(path string, bearer bool, other string) ([]Key, error) {
	keys, err := ReadAny(path)
	if err != nil && !errors.Is(err, ErrLines) {
		return nil, err
	}
	for _, k := range keys {
		if k.Bearer != bearer {
			err = errors.Join(err, &linesError{fmt.Errorf("%s: key %s %s", path, k.ID, other)})
		}
	}
	return slices.DeleteFunc(keys, func(k Key) bool { return k.Bearer != bearer }), err
}

// ReadAny is Read for a file of keys of either kind.
func ReadAny(path string) ([]Key, error) {
	text, err := safefile.Read(path, maxFileBytes)
	if err != nil {
		return nil, err
	}
	keys, err := parse(path, text)
	if err != nil {
		return keys, &linesError{err}
	}
	return keys, nil
}

// linesError is an ErrLines with the text of the wrong lines.
type linesError struct{ error }

func (e *linesError) Unwrap() []error { return []error{ErrLines, e.error} }

// Ensure makes sure that [Update] can write a key file. It creates a missing file and its folder without keys, and
// rewrites an existing file with its keys.
func Ensure(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return Create(path)
	}
	return Update(path, func(keys []Key) ([]Key, error) { return keys, nil })
}

// Create writes a new key file. If it exists, the error wraps fs.ErrExist. A missing folder is created for this
// process's user only.
func Create(path string, keys ...Key) error {
	head := "# Keys of the HMAC channel: a secret. The first is the one to use.\n"
	if len(keys) > 0 && keys[0].Bearer {
		head = "# Bearer keys: id and SHA-256 of the token, which is stored nowhere.\n"
	}
	return safefile.Create(path, appendKeys([]byte(head), keys), 0o600)
}

// Update replaces the keys of a file. If path is a link, its target is replaced, because hosts may use another name.
// Comments are kept and move to the top. Concurrent updates are serialized, so a revoked key does not come back.
func Update(path string, change func([]Key) ([]Key, error)) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if _, err := safefile.Read(path, maxFileBytes); err != nil {
		return err // do not leave a lock file if this user may not write the file
	}
	unlock, err := safefile.Lock(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	text, err := safefile.Read(path, maxFileBytes)
	if err != nil {
		return err
	}
	keys, err := Parse(path, text)
	if err != nil {
		return err
	}
	keys, err = change(keys)
	if err != nil {
		return err
	}
	var out []byte
	for line := range bytes.Lines(text) {
		if line[0] == '#' {
			out = append(out, line...)
		}
	}
	return safefile.Replace(path, appendKeys(out, keys), 0o600)
}

// Encode returns the text of a key file.
func Encode(keys ...Key) ([]byte, error) {
	for _, k := range keys {
		if !validID(k.ID) {
			return nil, fmt.Errorf("key id %q", k.ID)
		}
	}
	return appendKeys(nil, keys), nil
}

func appendKeys(b []byte, keys []Key) []byte {
	if len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	for _, k := range keys {
		magic := lineMagic
		if k.Bearer {
			magic = bearerMagic
		}
		b = fmt.Appendf(b, "%s %s %s %s\n", magic, k.ID, base64.RawURLEncoding.EncodeToString(k.Secret[:]),
			k.Created.Format(time.RFC3339Nano))
	}
	return b
}
