// Command checksum is an example plugin: digests of bytes and of streamed data.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"iter"

	"github.com/hearthhost/hearth/plugins/sdk"
)

type checksum struct{}

func (checksum) sha256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// chain yields the digest of each piece together with all those before it.
func (checksum) chain(ctx context.Context, pieces [][]byte) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		h := sha256.New()
		for _, p := range pieces {
			h.Write(p)
			if ctx.Err() != nil || !yield(hex.EncodeToString(h.Sum(nil)), nil) {
				return
			}
		}
	}
}

func main() {
	sdk.Serve(sdk.New(sdk.PerCall, "Digests of bytes.", func() checksum { return checksum{} }).
		Method("sha256", checksum.sha256, "Returns the SHA-256 of bytes, in hexadecimal.", "data").
		Method("chain", checksum.chain, "Streams the SHA-256 of a list of bytes, up to each of them.", "pieces"))
}
