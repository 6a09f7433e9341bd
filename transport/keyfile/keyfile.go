// Package keyfile reads files of keys of the HMAC channel.
package keyfile

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"time"
)

// Key is one key of a file.
type Key struct {
	ID      string
	Secret  [32]byte
	Created time.Time
}

// Read reads a key file.
func Read(path string) ([]Key, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var keys []Key
	for i, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		if len(f) != 4 || f[0] != "hearth-key-1" {
			return nil, fmt.Errorf("%s:%d: not a key", path, i+1)
		}
		k := Key{ID: f[1]}
		s, err := base64.RawURLEncoding.DecodeString(f[2])
		if err != nil || len(s) != 32 {
			return nil, fmt.Errorf("%s:%d: not a key", path, i+1)
		}
		copy(k.Secret[:], s)
		keys = append(keys, k)
	}
	return keys, nil
}
