package linktest_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/link/linktest"
)

// TestPair sends frames larger than the socket in both directions. Time passes only while all goroutines wait.
func TestPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, err := linktest.Pair()
		if err != nil {
			t.Fatal(err)
		}
		body := bytes.Repeat([]byte("x"), 1<<20)
		got := make(chan []byte, 2)
		ended := make(chan error, 2)
		for _, end := range []*linktest.End{a, b} {
			in, err := link.NewReader(end, func(_ link.Type, _ uint64, body []byte) error {
				got <- bytes.Clone(body)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				time.Sleep(time.Hour) // the writer waits
				ended <- in.Run(false)
			}()
		}
		for _, end := range []*linktest.End{a, b} {
			go func() {
				var e link.Encoder
				e.Begin(link.HostCall, 1)
				e.Raw(body)
				if _, err := end.Write(e.Frame()); err != nil {
					t.Error(err)
				}
			}()
		}
		for range 2 {
			if !bytes.Equal(<-got, body) {
				t.Error("the frame arrived changed")
			}
		}
		a.Close()
		a.Close()
		for range 2 {
			if err := <-ended; !errors.Is(err, os.ErrClosed) && !errors.Is(err, io.EOF) {
				t.Errorf("Run() = %v", err)
			}
		}
		if _, err := a.Write(body); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Write() on the closed end = %v", err)
		}
		if _, err := b.Write(body); err == nil {
			t.Error("Write() to the closed end succeeded")
		}
		b.Close()
	})
}

// TestCloseEndsWrites closes either end of a pair with a writer that waits for room.
func TestCloseEndsWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, own := range []bool{true, false} {
			a, b, err := linktest.Pair()
			if err != nil {
				t.Fatal(err)
			}
			written := make(chan error, 1)
			go func() {
				_, err := a.Write(make([]byte, 10<<20))
				written <- err
			}()
			synctest.Wait()
			if own {
				a.Close()
			} else {
				b.Close()
			}
			if err := <-written; err == nil {
				t.Error("Write() to a closed pair succeeded")
			}
			a.Close()
			b.Close()
		}
	})
}
