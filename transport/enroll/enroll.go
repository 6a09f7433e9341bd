// Package enroll stores the tokens with which clients obtain their key or certificate.
//
// A token is a key of the HMAC channel with one purpose: the client requests the credentials of one principal from the
// host over that channel. So both ends are authenticated before the request, and nothing on the wire is secret: a
// certificate is requested by a signing request, and a key is agreed on by X25519. The first request binds the token to
// the client's public key. If the answer was lost, the same client can repeat the request and gets the same answer;
// other clients cannot.
package enroll

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hearthhost/hearth/internal/safefile"
)

// Kind is the type of credential that a token is exchanged for.
type Kind string

// Kinds of tokens.
const (
	Cert Kind = "cert"
	Key  Kind = "key"
)

// idPrefix begins the ids of tokens and of their keys of the HMAC channel.
const idPrefix = "enroll-"

const (
	textMagic    = "hearth-enroll-1"
	extension    = ".json"
	maxFileBytes = 64 << 10
)

// Token is the content of a token's file. Its formatted text contains its id only.
type Token struct {
	ID        string    `json:"id"`
	Principal string    `json:"principal"`
	Kind      Kind      `json:"kind"`
	Secret    string    `json:"secret"` // base64url without padding
	Expires   time.Time `json:"expires"`

	// Fields of a used token.
	Client string            `json:"client,omitempty"` // SHA-256 of the client's public key, hexadecimal
	Reply  map[string]string `json:"reply,omitempty"`
}

// String returns the token's id.
func (t *Token) String() string { return t.ID }

// GoString returns the token's id.
func (t *Token) GoString() string { return t.ID }

// New creates a token and writes its file into a folder. It creates a missing folder.
func New(dir, principal string, kind Kind, valid time.Duration, now time.Time) (*Token, error) {
	var id [4]byte
	var secret [32]byte
	_, _ = rand.Read(id[:]) // never fail
	_, _ = rand.Read(secret[:])
	t := &Token{
		ID:        idPrefix + hex.EncodeToString(id[:]),
		Principal: principal,
		Kind:      kind,
		Secret:    base64.RawURLEncoding.EncodeToString(secret[:]),
		Expires:   now.Add(valid).UTC().Truncate(time.Second),
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	return t, safefile.Create(filepath.Join(dir, t.ID+extension), append(text, '\n'), 0o600)
}

// Text returns the token in the form for the client.
func (t *Token) Text() string {
	return strings.Join([]string{textMagic, string(t.Kind), t.ID, t.Secret}, ".")
}

// Bytes returns the secret as a key of the HMAC channel.
func (t *Token) Bytes() (secret [32]byte, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(t.Secret)
	if err != nil || len(b) != len(secret) {
		return secret, fmt.Errorf("token %s is damaged", t.ID)
	}
	return [32]byte(b), nil
}

// ParseText parses the result of Text.
func ParseText(s string) (*Token, error) {
	f := strings.Split(strings.TrimSpace(s), ".")
	if len(f) != 4 || f[0] != textMagic || Kind(f[1]) != Cert && Kind(f[1]) != Key || !validID(f[2]) {
		return nil, fmt.Errorf("not a token: one begins with %s and a dot", textMagic)
	}
	t := &Token{Kind: Kind(f[1]), ID: f[2], Secret: f[3]}
	if _, err := t.Bytes(); err != nil {
		return nil, errors.New("the token is cut or mistyped")
	}
	return t, nil
}

func validID(id string) bool {
	s, ok := strings.CutPrefix(id, idPrefix)
	return ok && len(s) == 8 && strings.Trim(s, "0123456789abcdef") == ""
}

// Read reads the file of a token.
func Read(dir, id string) (*Token, error) {
	if !validID(id) {
		return nil, fmt.Errorf("%q is not the id of a token", id)
	}
	path := filepath.Join(dir, id+extension)
	text, err := safefile.Read(path, maxFileBytes)
	if err != nil {
		return nil, err
	}
	t := new(Token)
	if err := json.Unmarshal(text, t); err != nil || t.ID != id {
		return nil, fmt.Errorf("%s is damaged: remove it", path)
	}
	if _, err := t.Bytes(); err != nil {
		return nil, err
	}
	return t, nil
}

// List reads the tokens of a folder; a missing folder has none. The error joins the errors of unreadable files; the
// other tokens are returned.
func List(dir string) ([]*Token, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*Token
	var problems []error
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), extension)
		if !ok || !validID(id) {
			continue
		}
		t, err := Read(dir, id)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		all = append(all, t)
	}
	return all, errors.Join(problems...)
}

// Lock prevents other processes from using or removing tokens of a folder until unlock.
func Lock(dir string) (unlock func(), err error) { return safefile.Lock(dir) }

// Bind records the client's public key and the reply. A nil reply means not answered yet.
func (t *Token) Bind(dir string, public []byte, reply map[string]string) error {
	bound := *t
	bound.Client, bound.Reply = fingerprint(public), reply
	text, err := json.Marshal(&bound)
	if err != nil {
		return err
	}
	if err := safefile.Replace(filepath.Join(dir, t.ID+extension), append(text, '\n'), 0o600); err != nil {
		return err
	}
	*t = bound
	return nil
}

// Used returns the reply to the client with this public key; ok is false if the token was not answered yet. The error
// is ErrTaken if another client has used the token.
func (t *Token) Used(public []byte) (reply map[string]string, ok bool, err error) {
	switch t.Client {
	case "":
		return nil, false, nil
	case fingerprint(public):
		return t.Reply, t.Reply != nil, nil
	}
	return nil, false, ErrTaken
}

// ErrTaken reports that another client has used the token.
var ErrTaken = errors.New("this token was used with another key: if that was not you, revoke the key or certificate " +
	"of this token; otherwise request a new one")

func fingerprint(public []byte) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:])
}

// Remove removes a token.
func Remove(dir, id string) error {
	if !validID(id) {
		return fmt.Errorf("%q is not the id of a token", id)
	}
	// The lock prevents a host that uses the token from writing it again.
	unlock, err := Lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	return os.Remove(filepath.Join(dir, id+extension))
}

// Expire removes an expired token and reports whether it did. It takes no lock: a token in use may be written again,
// and the caller must call Expire again.
func (t *Token) Expire(dir string, now time.Time) (bool, error) {
	if now.Before(t.Expires) {
		return false, nil
	}
	err := os.Remove(filepath.Join(dir, t.ID+extension))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// DeriveKey derives the shared key of an X25519 exchange. client and server are the public keys.
func DeriveKey(shared, client, server []byte, id string) (key [32]byte, err error) {
	salt := sha256.Sum256(append(append(append([]byte(id), 0), client...), server...))
	b, err := hkdf.Key(sha256.New, shared, salt[:], "hearth enroll 1 key", len(key))
	if err != nil {
		return key, err
	}
	return [32]byte(b), nil
}
