package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// work is one call that is measured, and the answer that it must have. Exactly one of the
// forms is meant: sum, text or blob.
type work struct {
	name   string // as it stands in the table
	method string // "add" or "echo"
	a, b   int64
	text   string
	blob   []byte
}

// The work of all peers. The blobs are large messages; bytes that do not compress and hold
// every value, so that no peer gets off lightly.
var (
	add  = work{name: "add", method: "add", a: 20, b: 22}
	echo = work{name: "echo 1 kB", method: "echo",
		text: strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 28)[:1000]}
)

// blobOf is an echo of so many million bytes.
func blobOf(mb int) work {
	random := rand.NewChaCha8([32]byte{1})
	blob := make([]byte, mb*1e6)
	_, _ = random.Read(blob) // it never fails
	return work{name: fmt.Sprintf("echo %d MB", mb), method: "echo", blob: blob}
}

// errWrong says that a peer answered, and not what it was asked for.
var errWrong = errors.New("wrong answer")

// number checks a sum.
func (w *work) number(got int64) error {
	if want := w.a + w.b; got != want {
		return fmt.Errorf("%w: %s gave %d, not %d", errWrong, w.name, got, want)
	}
	return nil
}

// same checks an echoed text.
func (w *work) same(got string) error {
	if got != w.text {
		return fmt.Errorf("%w: %s gave another text, of %d bytes", errWrong, w.name, len(got))
	}
	return nil
}

// sameBlob checks an echoed blob.
func (w *work) sameBlob(got []byte) error {
	if !bytes.Equal(got, w.blob) {
		return fmt.Errorf("%w: %s gave other bytes, %d of them", errWrong, w.name, len(got))
	}
	return nil
}

// caller is one connection of the load to a peer. It is used by one goroutine.
type caller interface {
	// call makes one call, and checks its answer.
	call(ctx context.Context, w *work) error
	// batch makes n calls that travel together, and checks all answers; errNoBatch if the
	// peer has no such thing.
	batch(ctx context.Context, w *work, n int) error
	close()
}

// errNoBatch says that a peer has no batches.
var errNoBatch = errors.New("it has no batches")
