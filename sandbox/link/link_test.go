package link_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

func sampleCall() object.Call {
	return object.Call{
		ID: "acme.counter", Kind: object.Batch, Method: "m", Batch: []object.Method{"add", "total"}, Oneway: true,
		Caller: object.Caller{Principal: "alice", Tenant: "t", Peer: object.Peer{Way: "peer", UID: 1 << 31, Channel: "tcp", Addr: "127.0.0.1:9"}},
		Conn:   1 << 60, Protocol: object.Pyro5, Serializer: 4, Corr: [16]byte{1, 15: 2}, Traceback: true,
		Chain: []object.ID{"a.b"}, Payload: []byte("payload"),
	}
}

func TestCallSurvives(t *testing.T) {
	want := sampleCall()
	var e link.Encoder
	e.Begin(link.Call, 7)
	e.PutCall(&want)
	r := link.NewReader(bytes.NewReader(e.Frame()))
	typ, id, n, err := r.Head()
	if err != nil || typ != link.Call || id != 7 {
		t.Fatalf("Head() = %v, %v, %v; want Call, 7", typ, id, err)
	}
	body, err := r.Body(nil, n)
	if err != nil {
		t.Fatal(err)
	}
	var got object.Call
	d := link.Decoder{B: body}
	d.CallFields(&got)
	if d.Err != nil {
		t.Fatal(d.Err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("call changed on its way (-sent +received):\n%s", diff)
	}
	if _, _, _, err := r.Head(); !errors.Is(err, io.EOF) {
		t.Errorf("Head() at the end = %v, want io.EOF", err)
	}
}

func TestReplySurvives(t *testing.T) {
	for _, tc := range []struct {
		name string
		r    object.Reply
		more bool
		err  *object.Error
	}{
		{"value", object.Reply{Payload: []byte("x")}, true, nil},
		{"exception", object.Reply{Payload: []byte("x"), Exception: true}, false, nil},
		{"stream", object.Reply{Stream: 1 << 40, Payload: []byte{}}, true, nil},
		{"error", object.Reply{}, false, &object.Error{Code: object.CodeExhausted, Msg: "why", Class: "MemoryError"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var e link.Encoder
			e.Begin(link.Reply, 1)
			e.PutReply(tc.r, tc.more, tc.err)
			d := link.Decoder{B: e.Frame()[13:]}
			r, more, err := d.ReplyFields()
			if d.Err != nil {
				t.Fatal(d.Err)
			}
			if diff := cmp.Diff([]any{tc.r, tc.more, tc.err}, []any{r, more, err}); diff != "" {
				t.Errorf("reply changed on its way:\n%s", diff)
			}
		})
	}
}

// TestConcurrentWritersKeepFramesWhole has many writers share one link.
func TestConcurrentWritersKeepFramesWhole(t *testing.T) {
	a, b := net.Pipe()
	w := link.NewWriter(a)
	const writers, each = 16, 50
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			var e link.Encoder
			for range each {
				e.Begin(link.Log, uint64(i))
				e.Raw([]byte(strings.Repeat("x", i*10)))
				if err := w.Write(e.Frame()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { wg.Wait(); a.Close() }()
	r := link.NewReader(b)
	seen := 0
	var body []byte
	for {
		_, id, n, err := r.Head()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if body, err = r.Body(body, n); err != nil {
			t.Fatal(err)
		}
		if n != int(id)*10 {
			t.Fatalf("frame of writer %d has %d bytes, want %d", id, n, id*10)
		}
		seen++
	}
	if seen != writers*each {
		t.Errorf("%d frames arrived, want %d", seen, writers*each)
	}
}

func TestWriterSaysWhenTheLinkIsDead(t *testing.T) {
	a, b := net.Pipe()
	b.Close()
	w := link.NewWriter(a)
	var e link.Encoder
	e.Begin(link.Stop, 0)
	if err := w.Write(e.Frame()); err == nil {
		t.Error("writing to a closed link succeeded")
	}
	if err := w.Write(e.Frame()); err == nil {
		t.Error("writing again to a closed link succeeded: the error is to be sticky")
	}
}

func TestReaderRefusesImpossibleLengths(t *testing.T) {
	for _, head := range []string{"\x00\x00\x00\x00", "\x08\x00\x00\x00", "\xff\xff\xff\xff"} {
		r := link.NewReader(strings.NewReader(head + strings.Repeat("\x00", 9)))
		if _, _, _, err := r.Head(); err == nil {
			t.Errorf("a frame whose length is % x was accepted", head)
		}
	}
}

func FuzzCallFields(f *testing.F) {
	c := sampleCall()
	var e link.Encoder
	e.Begin(link.Call, 7)
	e.PutCall(&c)
	f.Add(e.Frame()[13:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		var c object.Call
		d := link.Decoder{B: body}
		d.CallFields(&c)
		if d.Err != nil {
			return
		}
		var e link.Encoder
		e.Begin(link.Call, 1)
		e.PutCall(&c)
		var again object.Call
		d = link.Decoder{B: e.Frame()[13:]}
		d.CallFields(&again)
		if diff := cmp.Diff(c, again); d.Err != nil || diff != "" {
			t.Errorf("a call that was read does not survive writing: %v\n%s", d.Err, diff)
		}
	})
}

func FuzzReplyFields(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 'x'})
	f.Add([]byte{6, 1, 'x', 0})
	f.Fuzz(func(_ *testing.T, body []byte) {
		d := link.Decoder{B: body}
		d.ReplyFields()
	})
}

func BenchmarkCallFrame(b *testing.B) {
	c := sampleCall()
	c.Batch, c.Chain = nil, nil
	var e link.Encoder
	var got object.Call
	b.ReportAllocs()
	for b.Loop() {
		e.Begin(link.Call, 7)
		e.PutCall(&c)
		d := link.Decoder{B: e.Frame()[13:]}
		d.CallFields(&got)
		if d.Err != nil {
			b.Fatal(d.Err)
		}
	}
}
