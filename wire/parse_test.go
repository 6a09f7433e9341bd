package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// outcome is everything that a caller of a parser sees of a stream.
type outcome struct {
	Messages []wire.Message
	Hooks    [][4]int // calls of hooks in order, with their arguments
	Errors   []string
	Rejected int64
	Protocol wire.Protocol
	Left     int // bytes behind the last message
}

const testLimit = 700 // rejects the vectors of too large messages

// Hooks of a parser.
const (
	limitHook = iota
	checkHook
	reserveHook
)

// follow lets hooks report their calls to o.
func follow(p *wire.Parser, o *outcome) {
	p.Check = func(m *wire.Message) error {
		o.Hooks = append(o.Hooks, [4]int{checkHook, int(m.Type), int(m.Seq), int(m.Serializer)})
		return nil
	}
	p.Reserve = func(n int) error {
		o.Hooks = append(o.Hooks, [4]int{reserveHook, n})
		return nil
	}
	p.Limit = func() int {
		o.Hooks = append(o.Hooks, [4]int{limitHook})
		return testLimit
	}
}

// copied returns a copy of m that does not alias the stream.
func copied(m *wire.Message) wire.Message {
	c := *m
	c.Payload = append([]byte{}, m.Payload...)
	c.Annotations = nil
	for _, a := range m.Annotations {
		c.Annotations = append(c.Annotations, wire.Annotation{ID: a.ID, Value: append([]byte{}, a.Value...)})
	}
	return c
}

// parseParts parses a stream that arrives in parts, which end at the offsets cuts and at its end.
func parseParts(t testing.TB, stream []byte, cuts ...int) outcome {
	var p wire.Parser
	var o outcome
	var m wire.Message
	p.SetMax(testLimit - 1)
	follow(&p, &o)
	start, waiting := 0, 0
	for _, end := range append(cuts, len(stream)) {
		for {
			b := stream[start:end:end]
			size, need, err := p.Parse(b, &m)
			switch {
			case size < 0 || size > len(b) || size > 0 && need > 0 || size == 0 && need == 0 && err == nil:
				t.Fatalf("%d bytes: size %d, need %d, error %v", len(b), size, need, err)
			case need > 0 && (need <= len(b) || err != nil):
				t.Fatalf("%d bytes: need %d, error %v", len(b), need, err)
			case need == 0 && len(b) < waiting:
				t.Fatalf("a result with %d bytes, though Parse needed %d", len(b), waiting)
			}
			if err != nil {
				o.Errors = append(o.Errors, fmt.Sprint(object.CodeOf(err), " ", err))
			}
			if size == 0 && err != nil { // final
				o.Rejected, o.Protocol, o.Left = p.Rejected(), p.Protocol(), len(stream)-start
				return o
			}
			waiting = need
			if need > 0 {
				break
			}
			o.Messages = append(o.Messages, copied(&m))
			start += size
		}
	}
	o.Protocol, o.Left = p.Protocol(), len(stream)-start
	return o
}

// readAll reads a stream with a Reader.
func readAll(in io.Reader, length int) outcome {
	var o outcome
	var m wire.Message
	count := &counter{r: in}
	r := wire.NewReader(count, testLimit-1)
	follow(&r.Parser, &o)
	for {
		err := r.Read(&m)
		var e *object.Error
		if errors.As(err, &e) {
			o.Errors = append(o.Errors, fmt.Sprint(object.CodeOf(err), " ", err))
		}
		if err != nil && (e == nil || e.Reason != object.ReasonValue) {
			break
		}
		o.Messages = append(o.Messages, copied(&m))
	}
	o.Rejected, o.Protocol = r.Rejected(), r.Protocol()
	o.Left = length - (count.n - r.Buffered())
	return o
}

// counter counts the bytes that were read.
type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func same(t testing.TB, name string, got, want outcome) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", name, got, want)
	}
}

func everyByte(stream []byte) []int {
	cuts := make([]int, len(stream))
	for i := range cuts {
		cuts[i] = i
	}
	return cuts
}

func vectorFiles(t testing.TB) []string {
	return append(conversations(t), "pyro4-badinput.jsonl", "pyro5-badinput.jsonl",
		"pyro4-clientside.jsonl", "pyro5-clientside.jsonl")
}

// TestParseEveryPartition: each recorded vector has the same result in one part, in pairs of parts, byte by byte, and
// through a Reader. Pairs are divided near the ends of the message and its header. Bad input is also divided into all
// triples of parts.
func TestParseEveryPartition(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range vectorFiles(t) {
		for _, r := range lines[record](t, file) {
			stream := r.bytes(t)
			if seen[string(stream)] {
				continue
			}
			seen[string(stream)] = true
			name := file + " " + r.Name
			want := parseParts(t, stream)
			same(t, name+" by bytes", parseParts(t, stream, everyByte(stream)...), want)
			same(t, name+" by a reader", readAll(bytes.NewReader(stream), len(stream)), want)
			parts := &shortReads{b: stream, sizes: []int{1, 7, 33}}
			same(t, name+" by a reader of parts", readAll(parts, len(stream)), want)
			for first := range stream {
				if near(first, 0) || near(first, 24) || near(first, 40) || near(first, len(stream)) {
					same(t, name+" in pairs", parseParts(t, stream, first), want)
				}
				if !strings.Contains(file, "badinput") {
					continue
				}
				for second := first; second < min(len(stream), 60); second++ {
					same(t, name+" in triples", parseParts(t, stream, first, second), want)
				}
			}
		}
	}
	if len(seen) < 300 {
		t.Errorf("only %d vectors", len(seen))
	}
}

func near(at, boundary int) bool { return at-boundary <= 1 && boundary-at <= 1 }

// TestParseConversation parses several messages in one stream, among them one with a wrong correlation id.
func TestParseConversation(t *testing.T) {
	stream := mustAppend(t, nil, call(wire.Pyro4, 3))
	bad := mustAppend(t, nil, &wire.Message{
		Protocol:    wire.Pyro4,
		Type:        wire.Invoke,
		Payload:     []byte("p"),
		Annotations: []wire.Annotation{{ID: [4]byte{'X', 'X', 'X', 'X'}, Value: []byte("short")}},
	})
	stream = append(stream, bytes.Replace(bad, []byte("XXXX"), []byte("CORR"), 1)...)
	stream = mustAppend(t, stream, call(wire.Pyro4, 0))
	stream = mustAppend(t, stream, call(wire.Pyro5, 0)) // another protocol ends it
	want := parseParts(t, stream)
	if len(want.Messages) != 3 || len(want.Errors) != 2 || len(want.Hooks) != 6 || want.Left == 0 {
		t.Fatalf("%+v", want)
	}
	for first := range stream {
		for second := first; second < len(stream); second++ {
			same(t, fmt.Sprint("cut at ", first, ", ", second), parseParts(t, stream, first, second), want)
		}
	}
}

// TestParseRejectsAtTheHeader: Parse rejects a message as soon as the bytes that show the fault have arrived.
func TestParseRejectsAtTheHeader(t *testing.T) {
	refusal := errors.New("no")
	pyro4 := mustAppend(t, nil, call(wire.Pyro4, 100))
	pyro5 := mustAppend(t, nil, call(wire.Pyro5, 100))
	checksum := bytes.Clone(pyro4)
	checksum[22] ^= 1
	kind := bytes.Clone(pyro5)
	kind[6] = 9
	for name, c := range map[string]struct {
		stream []byte
		set    func(*wire.Parser)
		at     int // bytes from which the result is an error
	}{
		"no magic":  {[]byte("garbage of some length"), func(*wire.Parser) {}, 6},
		"version":   {append([]byte("PYRO\x01\xf7"), pyro5[6:]...), func(*wire.Parser) {}, 6},
		"checksum":  {checksum, func(*wire.Parser) {}, 24},
		"type":      {kind, func(*wire.Parser) {}, 40},
		"too large": {pyro5, func(p *wire.Parser) { p.SetMax(99) }, 40},
		"check":     {pyro5, func(p *wire.Parser) { p.Check = func(*wire.Message) error { return refusal } }, 40},
		"reserve":   {pyro4, func(p *wire.Parser) { p.Reserve = func(int) error { return refusal } }, 24},
	} {
		var p wire.Parser
		p.SetMax(0)
		c.set(&p)
		var m wire.Message
		for n := range c.stream {
			_, need, err := p.Parse(c.stream[:n], &m)
			if (err != nil) != (n >= c.at) || err == nil && (need <= n || need > c.at) {
				t.Errorf("%s: %d bytes: need %d, error %v; want the error from %d bytes", name, n, need, err, c.at)
			}
		}
	}
}

// TestParseCallsHooksOnce: an incomplete message keeps the room that it has reserved, even under a lower bound.
func TestParseCallsHooksOnce(t *testing.T) {
	b := mustAppend(t, nil, call(wire.Pyro5, 100))
	var o outcome
	var p wire.Parser
	p.SetMax(50)
	follow(&p, &o)
	var m wire.Message
	for n := 40; n < len(b); n++ {
		if _, need, err := p.Parse(b[:n], &m); need != len(b) || err != nil {
			t.Fatalf("%d bytes: need %d, error %v", n, need, err)
		}
		p.Limit = func() int { return 50 }
	}
	if size, _, err := p.Parse(b, &m); size != len(b) || err != nil {
		t.Fatalf("size %d, error %v", size, err)
	}
	if want := [][4]int{{limitHook}, {checkHook, 4, 7, 1}, {reserveHook, len(b)}}; !slices.Equal(o.Hooks, want) {
		t.Errorf("hooks %v, want %v", o.Hooks, want)
	}
	if _, _, err := p.Parse(b, &m); object.CodeOf(err) != object.CodeTooLarge || p.Rejected() != int64(len(b)) {
		t.Errorf("the next message: %v, rejected %d", err, p.Rejected())
	}
}

// TestParseAfterReserve: a message without room can be parsed later, or skipped.
func TestParseAfterReserve(t *testing.T) {
	b := mustAppend(t, nil, call(wire.Pyro4, 100))
	full := errors.New("full")
	var p wire.Parser
	p.SetMax(0)
	reserved := full
	p.Reserve = func(int) error { return reserved }
	var m wire.Message
	for range 2 {
		if _, _, err := p.Parse(b, &m); err != full || p.Rejected() != int64(len(b)) || m.Seq != 7 {
			t.Fatalf("got %v, rejected %d, seq %d", err, p.Rejected(), m.Seq)
		}
	}
	reserved = nil
	if size, _, err := p.Parse(b, &m); size != len(b) || err != nil || p.Rejected() != 0 {
		t.Errorf("with room: size %d, error %v, rejected %d", size, err, p.Rejected())
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	for _, protocol := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		var p wire.Parser
		p.SetMax(0)
		b := mustAppend(t, nil, call(protocol, 300))
		var m wire.Message
		n := testing.AllocsPerRun(100, func() {
			_, need, err := p.Parse(b[:100], &m)
			size, _, errWhole := p.Parse(b, &m)
			if need != len(b) || size != len(b) || err != nil || errWhole != nil {
				t.Fatal(need, size, err, errWhole)
			}
		})
		if n != 0 {
			t.Errorf("protocol %d: %v allocations for a message", protocol, n)
		}
	}
}

// shortReads returns a stream in reads of the given sizes, in turn.
type shortReads struct {
	b     []byte
	sizes []int
	next  int
}

func (s *shortReads) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	size := s.sizes[s.next%len(s.sizes)]
	s.next++
	n := copy(p, s.b[:min(size, len(s.b))])
	s.b = s.b[n:]
	return n, nil
}

// FuzzParse: the division of a stream into parts does not change the result, and a Reader returns the same.
func FuzzParse(f *testing.F) {
	for _, file := range vectorFiles(f) {
		var all []byte
		for _, r := range lines[record](f, file) {
			if strings.Contains(file, "badinput") {
				f.Add(r.bytes(f), []byte{1, 5, 18, 16, 3})
			}
			all = append(all, r.bytes(f)...)
		}
		f.Add(all[:min(len(all), 8000)], []byte{6, 34, 0, 100})
	}
	f.Fuzz(func(t *testing.T, stream, parts []byte) {
		want := parseParts(t, stream)
		var cuts, sizes []int
		for end, i := 0, 0; len(parts) > 0 && end < len(stream) && i < 4*len(stream); i++ {
			sizes = append(sizes, int(parts[i%len(parts)])+1)
			end += int(parts[i%len(parts)])
			cuts = append(cuts, min(end, len(stream)))
		}
		same(t, "in parts", parseParts(t, stream, cuts...), want)
		same(t, "by a reader", readAll(&shortReads{b: stream, sizes: append(sizes, 1)}, len(stream)), want)
	})
}

func BenchmarkParse(b *testing.B) {
	var p wire.Parser
	p.SetMax(0)
	stream := mustAppend(b, nil, call(wire.Pyro5, 300))
	var m wire.Message
	b.ReportAllocs()
	for b.Loop() {
		if size, _, err := p.Parse(stream, &m); size == 0 || err != nil {
			b.Fatal(size, err)
		}
	}
}
