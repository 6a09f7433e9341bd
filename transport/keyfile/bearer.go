package keyfile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"
)

// BearerPrefix is the start of the token of every bearer key.
const BearerPrefix = "hk_"

// Sizes of a token.
const (
	tokenSecretBytes = 43                                                    // base64url of 32 bytes
	MaxTokenBytes    = len(BearerPrefix) + maxIDBytes + 1 + tokenSecretBytes // of a bearer key
)

// NewBearer creates a bearer key and its token: "hk_", the key's id, ".", and 32 random bytes in base64url. The key
// has the SHA-256 of the token only.
func NewBearer(id string, now time.Time) (Key, string, error) {
	k, err := New(id, now)
	if err != nil {
		return Key{}, "", err
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	token := BearerPrefix + id + "." + base64.RawURLEncoding.EncodeToString(secret[:])
	k.Bearer, k.Secret = true, sha256.Sum256([]byte(token))
	return k, token, nil
}

// ParseToken returns the key id of a bearer key's token. ok is false for another text. It does not check the secret.
func ParseToken(token string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(token, BearerPrefix)
	at := len(rest) - tokenSecretBytes - 1
	if !ok || len(token) > MaxTokenBytes || at < 1 || rest[at] != '.' {
		return "", false
	}
	return rest[:at], validID(rest[:at])
}
