package wire_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

func messageOf(err error) string {
	var e *object.Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return ""
}

func mustAppend(t testing.TB, dst []byte, m *wire.Message) []byte {
	t.Helper()
	dst, err := wire.Append(dst, m)
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

func call(p wire.Protocol, payload int) *wire.Message {
	return &wire.Message{
		Protocol: p, Type: wire.Invoke, Serializer: 1, Flags: wire.KeepSerialized | wire.Oneway, Seq: 7,
		Corr: [16]byte{1, 2, 3}, HasCorr: true, Payload: bytes.Repeat([]byte{'x'}, payload),
		Annotations: []wire.Annotation{
			{ID: [4]byte{'A', 'B', 'C', 'D'}, Value: []byte("first")},
			{ID: [4]byte{'A', 'B', 'C', 'D'}, Value: []byte("last")},
		},
	}
}

func TestReadsWhatAppendWrote(t *testing.T) {
	for _, p := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		var stream []byte
		sizes := []int{0, 1, 500, 511, 512, 513, 70_000, 3, 65_536, 90_000, 10}
		for _, n := range sizes {
			stream = mustAppend(t, stream, call(p, n))
		}
		for name, r := range map[string]io.Reader{
			"whole":    bytes.NewReader(stream),
			"bytewise": iotest.OneByteReader(bytes.NewReader(stream)),
			"halves":   iotest.HalfReader(bytes.NewReader(stream)),
			"with eof": iotest.DataErrReader(bytes.NewReader(stream)),
		} {
			rd := wire.NewReader(r, 0)
			var m wire.Message
			for _, n := range sizes {
				if err := rd.Read(&m); err != nil {
					t.Fatalf("%s, %d bytes: %v", name, n, err)
				}
				want := call(p, n)
				if !bytes.Equal(want.Payload, m.Payload) {
					t.Fatalf("%s: payload of %d bytes differs", name, n)
				}
				want.Payload, m.Payload = nil, nil
				if d := cmp.Diff(*want, m); d != "" {
					t.Fatalf("%s, %d bytes: %s", name, n, d)
				}
				if v, ok := m.Annotation("ABCD"); !ok || string(v) != "last" {
					t.Errorf("annotation %q, %v", v, ok)
				}
			}
			if err := rd.Read(&m); err != io.EOF {
				t.Errorf("%s: %v at the end", name, err)
			}
		}
	}
}

// TestDetach: a detached message does not change, and later messages are read.
func TestDetach(t *testing.T) {
	var stream []byte
	sizes := []int{70_000, 3, 100_000, 600, 80_000, 80_000, 10}
	for i, n := range sizes {
		m := call(wire.Pyro5, n)
		m.Payload = bytes.Repeat([]byte{byte('a' + i)}, n)
		stream = mustAppend(t, stream, m)
	}
	rd := wire.NewReader(bytes.NewReader(stream), 0)
	var kept [][]byte
	for range sizes {
		var m wire.Message
		if err := rd.Read(&m); err != nil {
			t.Fatal(err)
		}
		rd.Detach()
		kept = append(kept, m.Payload)
	}
	for i, b := range kept {
		if !bytes.Equal(b, bytes.Repeat([]byte{byte('a' + i)}, sizes[i])) {
			t.Errorf("message %d changed", i)
		}
	}
	if err := rd.Read(new(wire.Message)); err != io.EOF {
		t.Errorf("%v at the end", err)
	}
}

func TestProtocolIsPinned(t *testing.T) {
	stream := mustAppend(t, nil, call(wire.Pyro4, 3))
	stream = mustAppend(t, stream, call(wire.Pyro5, 3))
	r := wire.NewReader(bytes.NewReader(stream), 0)
	var m wire.Message
	if r.Protocol() != 0 || r.Read(&m) != nil || r.Protocol() != wire.Pyro4 {
		t.Fatalf("first message: protocol %d", r.Protocol())
	}
	if err := r.Read(&m); object.CodeOf(err) != object.CodeInvalid || r.Protocol() != wire.Pyro4 {
		t.Errorf("switch of protocol: %v, protocol %d", err, r.Protocol())
	}
}

func TestEndOfStream(t *testing.T) {
	for _, p := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		whole := mustAppend(t, nil, call(p, 3))
		for n := range whole {
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			var m wire.Message
			if err := wire.NewReader(bytes.NewReader(whole[:n]), 0).Read(&m); err != want {
				t.Errorf("%d of %d bytes: %v, want %v", n, len(whole), err, want)
			}
		}
	}
}

func TestLimit(t *testing.T) {
	for _, p := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		m := &wire.Message{Protocol: p, Type: wire.Invoke, Payload: make([]byte, 700)}
		var got wire.Message
		if err := wire.NewReader(bytes.NewReader(mustAppend(t, nil, m)), 700).Read(&got); err != nil {
			t.Errorf("exactly the limit: %v", err)
		}
		// The stream has only the header: a reader that reads on returns the end of the stream.
		head := mustAppend(t, nil, m)
		head = head[:len(head)-700]
		if err := wire.NewReader(bytes.NewReader(head), 699).Read(&got); object.CodeOf(err) != object.CodeTooLarge {
			t.Errorf("one above the limit: %v", err)
		}
	}
}

func TestCheckComesBeforeTheBody(t *testing.T) {
	head := mustAppend(t, nil, call(wire.Pyro5, 100))[:40]
	refusal := errors.New("no")
	r := wire.NewReader(bytes.NewReader(head), 0)
	r.Check = func(m *wire.Message) error {
		if m.Serializer != 1 || m.Type != wire.Invoke {
			t.Errorf("checked %+v", m)
		}
		return refusal
	}
	var m wire.Message
	if err := r.Read(&m); err != refusal {
		t.Errorf("got %v", err)
	}
}

// stutter fails once with a passed deadline in the middle of a message.
type stutter struct {
	parts [][]byte
}

func (s *stutter) Read(p []byte) (int, error) {
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	part := s.parts[0]
	s.parts = s.parts[1:]
	if part == nil {
		return 0, os.ErrDeadlineExceeded
	}
	return copy(p, part), nil
}

func TestReadGoesOnAfterADeadline(t *testing.T) {
	b := mustAppend(t, nil, call(wire.Pyro5, 100))
	r := wire.NewReader(&stutter{parts: [][]byte{b[:50], nil, b[50:]}}, 0)
	var m wire.Message
	if err := r.Read(&m); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if err := r.Read(&m); err != nil || len(m.Payload) != 100 {
		t.Errorf("after the deadline: %v", err)
	}
}

func TestBadCorrelationIDLeavesTheStreamWhole(t *testing.T) {
	m := &wire.Message{
		Protocol:    wire.Pyro4,
		Type:        wire.Invoke,
		Payload:     []byte("p"),
		Annotations: []wire.Annotation{{ID: [4]byte{'X', 'X', 'X', 'X'}, Value: []byte("short")}},
	}
	b := bytes.Replace(mustAppend(t, nil, m), []byte("XXXX"), []byte("CORR"), 1)
	b = mustAppend(t, b, call(wire.Pyro4, 5))
	r := wire.NewReader(bytes.NewReader(b), 0)
	var got wire.Message
	err := r.Read(&got)
	var e *object.Error
	if !errors.As(err, &e) || e.Code != object.CodeInvalid ||
		e.Reason != object.ReasonValue || string(got.Payload) != "p" {
		t.Fatalf("got %v, payload %q", err, got.Payload)
	}
	if err := r.Read(&got); err != nil || len(got.Payload) != 5 {
		t.Errorf("next message: %v", err)
	}
}

func TestTooManyAnnotations(t *testing.T) {
	m := &wire.Message{Protocol: wire.Pyro5, Type: wire.Invoke, Annotations: make([]wire.Annotation, 256)}
	b := mustAppend(t, nil, m)
	var got wire.Message
	if err := wire.NewReader(bytes.NewReader(b), 0).Read(&got); err != nil {
		t.Error(err)
	}
	m.Annotations = append(m.Annotations, wire.Annotation{})
	if _, err := wire.Append(nil, m); object.CodeOf(err) != object.CodeTooLarge {
		t.Errorf("got %v", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	ok := wire.Message{Protocol: wire.Pyro5, Type: wire.Invoke}
	for name, change := range map[string]func(*wire.Message){
		"protocol":   func(m *wire.Message) { m.Protocol = 1 },
		"type":       func(m *wire.Message) { m.Type = 7 },
		"serializer": func(m *wire.Message) { m.Serializer = 256 },
		"id":         func(m *wire.Message) { m.Annotations = []wire.Annotation{{ID: [4]byte{0x80}}} },
		"annotations": func(m *wire.Message) {
			m.Protocol = wire.Pyro4
			m.Annotations = []wire.Annotation{{Value: make([]byte, 65_530)}}
		},
	} {
		m := ok
		change(&m)
		if b, err := wire.Append([]byte("kept"), &m); err == nil || string(b) != "kept" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// endless repeats one message.
type endless struct {
	b      []byte
	offset int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.b[e.offset:])
	e.offset = (e.offset + n) % len(e.b)
	return n, nil
}

func TestOrdinaryMessagesDoNotAllocate(t *testing.T) {
	for _, p := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		r := wire.NewReader(&endless{b: mustAppend(t, nil, call(p, 300))}, 0)
		var m wire.Message
		var out []byte
		for range 100 {
			if err := r.Read(&m); err != nil {
				t.Fatal(err)
			}
		}
		n := testing.AllocsPerRun(100, func() {
			if err := r.Read(&m); err != nil {
				t.Fatal(err)
			}
			out = mustAppend(t, out[:0], &m)
		})
		if n != 0 {
			t.Errorf("protocol %d: %v allocations for a message", p, n)
		}
	}
}

// TestLargeMessagesUseOneBuffer checks that a large message gets the memory of an ended one, also while the buffer
// grows.
func TestLargeMessagesUseOneBuffer(t *testing.T) {
	const size, messages = 4 << 20, 20
	r := wire.NewReader(&endless{b: mustAppend(t, nil, call(wire.Pyro4, size))}, 0)
	var m wire.Message
	read := func() {
		if err := r.Read(&m); err != nil {
			t.Fatal(err)
		}
		if garbage := r.Release(64 << 10); garbage > 0 {
			t.Fatalf("a buffer of %d bytes is garbage", garbage)
		}
	}
	read()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range messages {
		read()
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / messages; each > size/8 {
		t.Errorf("a message of %d bytes allocates %d", size, each)
	}
}

func TestClaimedProtocol(t *testing.T) {
	for b, want := range map[string]wire.Protocol{
		"PYRO\x00\x2f": wire.Pyro4, "PYRO\x01\xf7": wire.Pyro5, "PYROxx": 0, "GET / HTTP": 0,
	} {
		r := wire.NewReader(strings.NewReader(b), 0)
		var m wire.Message
		if err := r.Read(&m); object.CodeOf(err) != object.CodeInvalid || r.Protocol() != want {
			t.Errorf("%q: %v, protocol %d, want %d", b, err, r.Protocol(), want)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	r := wire.NewReader(&endless{b: mustAppend(b, nil, call(wire.Pyro5, 300))}, 0)
	var m wire.Message
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Read(&m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	m, out := call(wire.Pyro5, 300), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		out = mustAppend(b, out[:0], m)
	}
}

// TestSkip: a message rejected as too large can be skipped, in one read and in many, and the next message is read.
func TestSkip(t *testing.T) {
	for _, p := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		b := mustAppend(t, nil, &wire.Message{
			Protocol:    p,
			Type:        wire.Invoke,
			Serializer:  1,
			Seq:         7,
			Payload:     make([]byte, 100_000),
			Annotations: []wire.Annotation{{ID: [4]byte{'T', 'E', 'S', 'T'}, Value: make([]byte, 1000)}},
		})
		b = mustAppend(t, b, &wire.Message{Protocol: p, Type: wire.Ping, Seq: 8, Payload: []byte("next")})
		for _, in := range []io.Reader{bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader(b))} {
			r := wire.NewReader(in, 50_000)
			var m wire.Message
			err := r.Read(&m)
			var e *object.Error
			tooLarge := errors.As(err, &e) && e.Code == object.CodeTooLarge && e.Reason == object.ReasonMessage
			if !tooLarge || m.Seq != 7 || m.Type != wire.Invoke {
				t.Fatalf("%v: %v, seq %d", p, err, m.Seq)
			}
			if err := r.Skip(200_000); err != nil {
				t.Fatal(err)
			}
			if err := r.Read(&m); err != nil || m.Seq != 8 || string(m.Payload) != "next" {
				t.Errorf("%v: after it: %v, %q", p, err, m.Payload)
			}
		}
		r := wire.NewReader(bytes.NewReader(b), 50_000)
		var m wire.Message
		if err := r.Read(&m); object.CodeOf(err) != object.CodeTooLarge {
			t.Fatal(err)
		}
		if err := r.Skip(60_000); object.CodeOf(err) != object.CodeTooLarge {
			t.Errorf("%v: more than the limit is skipped: %v", p, err)
		}
		r = wire.NewReader(bytes.NewReader(b[:90_000]), 50_000)
		if err := r.Read(&m); object.CodeOf(err) != object.CodeTooLarge {
			t.Fatal(err)
		}
		if err := r.Skip(200_000); err == nil {
			t.Errorf("%v: a message that ends early was skipped", p)
		}
	}
}
