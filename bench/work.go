package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// work is a measured call with its expected answer. Only one of sum, text and blob is used.
type work struct {
	name   string // name in the table
	method string // "add" or "echo"
	a, b   int64
	text   string
	blob   []byte
}

// Work for all peers. Blobs are large messages of random bytes: they cannot be compressed and contain every value.
var (
	add  = work{name: "add", method: "add", a: 20, b: 22}
	echo = work{
		name:   "echo 1 kB",
		method: "echo",
		text:   strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 28)[:1000],
	}
)

// newBlob returns an echo of a number of million bytes.
func newBlob(mb int) work {
	random := rand.NewChaCha8([32]byte{1})
	blob := make([]byte, mb*1e6)
	_, _ = random.Read(blob) // does not fail
	return work{name: fmt.Sprintf("echo %d MB", mb), method: "echo", blob: blob}
}

// errWrong reports a wrong answer of a peer.
var errWrong = errors.New("wrong answer")

// checkSum checks a sum.
func (w *work) checkSum(got int64) error {
	if want := w.a + w.b; got != want {
		return fmt.Errorf("%w: %s returned %d, not %d", errWrong, w.name, got, want)
	}
	return nil
}

// checkText checks an echoed text.
func (w *work) checkText(got string) error {
	if got != w.text {
		return fmt.Errorf("%w: %s returned another text, of %d bytes", errWrong, w.name, len(got))
	}
	return nil
}

// checkBlob checks an echoed blob.
func (w *work) checkBlob(got []byte) error {
	if !bytes.Equal(got, w.blob) {
		return fmt.Errorf("%w: %s returned %d other bytes", errWrong, w.name, len(got))
	}
	return nil
}

// caller is a connection of the load to a peer, used by one goroutine.
type caller interface {
	// call makes a call and checks its answer.
	call(ctx context.Context, w *work) error
	// batch makes n calls in one message and checks all answers. It returns errNoBatch if the peer has no batches.
	batch(ctx context.Context, w *work, n int) error
	close()
}

// errNoBatch reports that a peer has no batches.
var errNoBatch = errors.New("the peer has no batches")
