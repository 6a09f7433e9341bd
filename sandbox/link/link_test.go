package link_test

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/internal/largebuf"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

func sampleCall() object.Call {
	return object.Call{
		ID: "acme.counter", Kind: object.Batch, Method: "m", Batch: []object.Method{"add", "total"}, Oneway: true,
		Caller: object.Caller{
			Principal: "alice",
			Tenant:    "t",
			Peer: object.Peer{Auth: "peer", UID: 1 << 31, Channel: "tcp", Addr: "127.0.0.1:9",
				Endpoint: &object.Endpoint{Local: "127.0.0.1:7"}},
			Handshake: &object.Handshake{Format: "pyro5/json", Data: []byte(`{"token":1}`)},
		},
		Conn: 1 << 60, Format: "pyro5/msgpack", Corr: [16]byte{1, 15: 2}, Traceback: true,
		Chain: []object.ID{"a.b"}, Payload: []byte("payload"),
		Annotations: []object.Annotation{{ID: "ABCD", Value: []byte("one")}, {ID: "X-1_", Value: []byte{}}},
		Blob:        []byte("triple"),
	}
}

func TestCallSurvives(t *testing.T) {
	want := sampleCall()
	var e link.Encoder
	e.Begin(link.Call, 7)
	e.PutCall(&want)
	frames := 0
	err := received(t, e.Frame(), func(typ link.Type, id uint64, body []byte) error {
		frames++
		if typ != link.Call || id != 7 {
			t.Errorf("frame %v, %v; want Call, 7", typ, id)
		}
		var got object.Call
		d := link.Decoder{B: body}
		d.CallFields(&got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("call changed on its way (-sent +received):\n%s", diff)
		}
		return d.Err
	})
	if !errors.Is(err, io.EOF) || frames != 1 {
		t.Errorf("Run() = %v after %d frames, want io.EOF after one", err, frames)
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
		{"annotations", object.Reply{Payload: []byte("x"), Annotations: []object.Annotation{
			{ID: "RESP", Value: []byte("value")}, {ID: "ABCD", Value: []byte{}}}}, true, nil},
		{"exception", object.Reply{Payload: []byte("x"), Exception: true}, false, nil},
		{"stream", object.Reply{Stream: 1 << 40, Payload: []byte{}}, true, nil},
		{"error", object.Reply{}, false, &object.Error{Code: object.CodeExhausted, Msg: "why",
			Reason: object.ReasonMessage, Class: "MemoryError"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var e link.Encoder
			e.Begin(link.Reply, 1)
			e.PutReply(tc.r, tc.more, tc.err)
			e.SetSteps(1 << 60)
			tc.r.Steps = 1 << 60
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

// sockets returns the two ends of a link.
func sockets(t *testing.T) (a, b *nonblock.Socket) {
	t.Helper()
	one, other, err := socketpair.Files()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = nonblock.NewSocket(one); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	if b, err = nonblock.NewSocket(other); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return a, b
}

// received passes the frames of a finished stream to handle and returns the result of Run.
func received(t *testing.T, stream []byte, handle link.Handler) error {
	t.Helper()
	a, b := sockets(t)
	go func() { _, _ = a.Write(stream); a.Close() }()
	r, err := link.NewReader(b, handle)
	if err != nil {
		t.Fatal(err)
	}
	return r.Run(false)
}

// TestConcurrentWritersKeepFramesWhole has several writers share one link, with queued frames and with frames that
// are written at once. Two goroutines read, one by polling.
func TestConcurrentWritersKeepFramesWhole(t *testing.T) {
	const writers, each = 16, 200
	a, b := sockets(t)
	w := link.NewWriter(a)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			var e link.Encoder
			send := w.Write
			switch i % 3 {
			case 0:
				send = func(frame []byte) error { _, err := w.Queue(frame); return err }
			case 1:
				send = w.Post
			}
			for n := range each {
				e.Begin(link.HostCall, uint64(i))
				e.Uint(uint64(n))
				e.Raw([]byte(strings.Repeat("x", i*i*i*10))) // some larger than the reader's buffer together, one alone
				if err := send(e.Frame()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := map[uint64]uint64{}
	all := make(chan struct{})
	r, err := link.NewReader(b, func(typ link.Type, id uint64, body []byte) error {
		d := link.Decoder{B: body}
		n := d.Uint()
		if typ != link.HostCall || n != next[id] || len(d.Raw()) != int(id*id*id)*10 {
			t.Errorf("frame %d of writer %d where %d was next, type %v, %d bytes", n, id, next[id], typ, len(body))
		}
		next[id]++
		missing := func(n uint64) bool { return n < each }
		if len(next) == writers && !slices.ContainsFunc(slices.Collect(maps.Values(next)), missing) {
			close(all)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		for {
			select {
			case <-all:
				wg.Wait()
				a.Close()
				return
			default:
				r.Poll()
			}
		}
	}()
	if err := r.Run(true); !errors.Is(err, io.EOF) {
		t.Errorf("Run() = %v, want io.EOF", err)
	}
	<-polled
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
		t.Error("writing again to a closed link succeeded; the error must be sticky")
	}
}

func TestReaderRefusesWhatIsNoFrame(t *testing.T) {
	for _, stream := range []string{
		"\x00\x00\x00\x00" + "123456789",          // shorter than a head
		"\x08\x00\x00\x00" + "123456789",          // the same by one byte
		"\xff\xff\xff\xff" + "123456789",          // longer than any frame
		"\x0a\x00\x00\x00" + "123456789",          // ends within the body
		"\x09\x00\x00\x00" + "123456789" + "\x09", // ends within the next head
	} {
		err := received(t, []byte(stream), func(link.Type, uint64, []byte) error { return nil })
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("the stream % x ended with %v, want an error", stream, err)
		}
	}
}

func TestReaderEndsWithItsHandler(t *testing.T) {
	var e link.Encoder
	e.Begin(link.Stop, 0)
	stop := errors.New("stop")
	two := append(slices.Clone(e.Frame()), e.Frame()...)
	err := received(t, two, func(link.Type, uint64, []byte) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("Run() = %v, want the handler's error", err)
	}
}

// TestReplyAnnotations reads annotations that no object can send, and malformed ones.
func TestReplyAnnotations(t *testing.T) {
	reply := func(list ...object.Annotation) []byte {
		var e link.Encoder
		e.Begin(link.Reply, 1)
		e.PutReply(object.Reply{Payload: []byte("x"), Annotations: list}, true, nil)
		return e.Frame()[13:]
	}
	large := reply(object.Annotation{ID: "ABCD", Value: make([]byte, object.MaxAnnotationBytes)})
	short := reply(object.Annotation{ID: "ABCD", Value: []byte("v")})
	short = append(short[:len(short)-4], 0xff, 0xff, 0xff, 0x7f)
	for name, body := range map[string][]byte{
		"reserved":  reply(object.Annotation{ID: "HMAC"}),
		"id":        reply(object.Annotation{ID: "ABCDE"}),
		"too large": large,
		"too many":  reply(make([]object.Annotation, object.MaxAnnotations+1)...),
		"size":      short,
	} {
		d := link.Decoder{B: body}
		if r, _, _ := d.ReplyFields(); d.Err == nil {
			t.Errorf("%s: %+v is accepted", name, r)
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

// TestReplyFrameAllocatesNothing encodes and decodes a reply with steps.
func TestReplyFrameAllocatesNothing(t *testing.T) {
	var e link.Encoder
	payload := []byte("payload")
	if n := testing.AllocsPerRun(100, func() {
		e.Begin(link.Reply, 7)
		e.PutReply(object.Reply{Payload: payload}, true, nil)
		e.SetSteps(12345)
		d := link.Decoder{B: e.Frame()[13:]}
		if r, _, _ := d.ReplyFields(); r.Steps != 12345 || d.Err != nil {
			t.Fatal(r, d.Err)
		}
	}); n != 0 {
		t.Errorf("a reply's frame allocates %v times", n)
	}
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

// TestLargeFramesAreTheirHandlers has two writers share a link, one with large frames in two parts. Each frame arrives
// whole and in order, and the reader does not reuse the memory of a large one.
func TestLargeFramesAreTheirHandlers(t *testing.T) {
	const each = 20
	a, b := sockets(t)
	w := link.NewWriter(a)
	size := func(n int) int { return link.Large + n*n*n*100 }
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			var e link.Encoder
			for n := range each {
				e.Begin(link.HostCall, uint64(i))
				e.Uint(uint64(n))
				raw := bytes.Repeat([]byte{byte(n)}, size(n)*i+1)
				if _, err := w.WriteParts(e.FramePrefix(len(raw)), raw); err != nil {
					t.Error(err)
				}
				clear(raw) // the writer no longer needs it
			}
		})
	}
	go func() { wg.Wait(); a.Close() }()
	next := map[uint64]uint64{}
	var kept [][]byte
	r, err := link.NewReader(b, func(_ link.Type, id uint64, body []byte) error {
		d := link.Decoder{B: body}
		if n := d.Uint(); n != next[id] {
			t.Errorf("frame %d of writer %d where %d was next", n, id, next[id])
		}
		next[id]++
		if len(body) > link.Large {
			kept = append(kept, d.Raw())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(false); !errors.Is(err, io.EOF) || next[0] != each || next[1] != each || len(kept) != each {
		t.Fatalf("Run() = %v after %v frames, %d of them large", err, next, len(kept))
	}
	for n, raw := range kept {
		if !bytes.Equal(raw, bytes.Repeat([]byte{byte(n)}, size(n)+1)) {
			t.Errorf("large frame %d changed after it was handled", n)
		}
	}
}

// TestLargeBodiesReuseMemory checks that a large frame gets the memory of an earlier one whose payload was given back.
func TestLargeBodiesReuseMemory(t *testing.T) {
	const size, frames = 4 << 20, 40
	a, b := sockets(t)
	w := link.NewWriter(a)
	raw := make([]byte, size)
	go func() { // ends with the last frame
		var e link.Encoder
		for range frames {
			e.Begin(link.Reply, 1)
			e.Uint(1)
			_, _ = w.WriteParts(e.FramePrefix(size), raw)
		}
		a.Close()
	}()
	var before, after runtime.MemStats
	n := 0
	r, err := link.NewReader(b, func(_ link.Type, _ uint64, body []byte) error {
		d := link.Decoder{B: body}
		d.Uint()
		if payload := d.Raw(); len(payload) != size || largebuf.Put(payload) != 0 {
			t.Errorf("a payload of %d bytes was not kept", len(payload))
		}
		if n++; n == 1 {
			runtime.ReadMemStats(&before)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(false); !errors.Is(err, io.EOF) || n != frames {
		t.Fatalf("Run() = %v after %d frames", err, n)
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / (frames - 1); each > size/4 {
		t.Errorf("a frame of %d bytes allocates %d", size, each)
	}
}

// TestLimit bounds the length of frames, and then raises the bound.
func TestLimit(t *testing.T) {
	for _, limit := range []int{200_000, 100_000} {
		a, b := sockets(t)
		var e link.Encoder
		e.Begin(link.Reply, 1)
		e.Raw(make([]byte, 150_000))
		go func() { _, _ = a.Write(e.Frame()); a.Close() }()
		frames := 0
		r, err := link.NewReader(b, func(link.Type, uint64, []byte) error { frames++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		r.Limit(limit)
		if err := r.Run(false); errors.Is(err, io.EOF) != (limit > 150_000) || (frames == 1) != (limit > 150_000) {
			t.Errorf("limit %d: %d frames, %v", limit, frames, err)
		}
	}
}

// TestBacklogRefusesRequestsAlone fills the backlog of a peer that does not read. Requests are then refused, and
// control frames are not, since later frames depend on them. All accepted frames arrive.
func TestBacklogRefusesRequestsAlone(t *testing.T) {
	b, file, err := socketpair.New()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a, err := nonblock.NewSocket(file)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	w := link.NewWriter(a)
	raw := make([]byte, 16<<20)
	frame := func(id uint64) []byte {
		var e link.Encoder
		e.Begin(link.HostCall, id)
		return e.FramePrefix(len(raw))
	}
	first := make(chan error, 1)
	go func() { _, err := w.WriteParts(frame(0), raw); first <- err }() // ends when b is read
	if _, err := io.ReadFull(b, make([]byte, len(frame(0)))); err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	for err := error(nil); err == nil; last++ {
		if last > 10 {
			t.Fatal("the backlog is full, and no frame is refused")
		}
		if _, err = w.WriteParts(frame(last+1), raw); err != nil && !errors.Is(err, link.ErrBacklog) {
			t.Fatal(err)
		}
	}
	var e link.Encoder
	e.Begin(link.HostCall, last)
	if err := w.Write(e.Frame()); err != nil {
		t.Errorf("a control frame: %v", err)
	}
	if _, err := io.CopyN(io.Discard, b, int64(len(raw))); err != nil {
		t.Fatal(err)
	}
	ids := uint64(1)
	r, err := link.NewReader(b, func(_ link.Type, id uint64, body []byte) error {
		if id != ids {
			t.Errorf("frame %d where %d was next", id, ids)
		}
		if ids++; id == last {
			return io.EOF
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(false); !errors.Is(err, io.EOF) || ids != last+1 {
		t.Errorf("Run() = %v before frame %d, %d was the last", err, ids, last)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// failing is a peer that reads nothing and then closes.
type failing struct{ begun, gone chan struct{} }

func (f failing) Write([]byte) (int, error) {
	close(f.begun)
	<-f.gone
	return 0, io.ErrClosedPipe
}

// TestDeadLinkIsNotSlow writes to a closed peer with a full backlog. The error is that of the closed peer.
func TestDeadLinkIsNotSlow(t *testing.T) {
	f := failing{make(chan struct{}), make(chan struct{})}
	w := link.NewWriter(f)
	var e link.Encoder
	e.Begin(link.HostCall, 1)
	raw := make([]byte, 40<<20)
	first := make(chan error, 1)
	go func() { _, err := w.WriteParts(e.FramePrefix(len(raw)), raw); first <- err }() // ends when f does
	<-f.begun
	var other link.Encoder
	other.Begin(link.HostCall, 2)
	frame := other.FramePrefix(len(raw))
	if _, err := w.WriteParts(frame, raw); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteParts(frame, raw); !errors.Is(err, link.ErrBacklog) {
		t.Errorf("while the peer is slow: %v", err)
	}
	close(f.gone)
	if err := <-first; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the write in progress: %v", err)
	}
	if _, err := w.WriteParts(frame, raw); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := w.Queue(other.Frame()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("afterwards, in the queue: %v", err)
	}
}

// TestPostDoesNotWait posts frames to a peer that does not read, until the bound is exceeded and the link fails. The
// peer accepts one frame only, so that a Post that wrote would not return.
func TestPostDoesNotWait(t *testing.T) {
	f := failing{make(chan struct{}), make(chan struct{})}
	defer close(f.gone)
	w := link.NewWriter(f)
	w.Limit(10_000, 20_000)
	var e link.Encoder
	e.Begin(link.HostCall, 1)
	e.Raw(make([]byte, 1000))
	posted := make(chan error, 1)
	go func() {
		for range 100 {
			if err := w.Post(e.Frame()); err != nil {
				posted <- err
				return
			}
		}
		posted <- nil
	}()
	select {
	case err := <-posted:
		if !errors.Is(err, link.ErrStalled) {
			t.Errorf("100 kB posted to a peer that does not read, with a bound of 20 kB: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Post waits for a peer that does not read")
	}
	if _, err := w.Queue(e.Frame()); !errors.Is(err, link.ErrStalled) {
		t.Errorf("afterwards: %v", err)
	}
}

// TestSent compares the end position of frames with the position up to which the system has accepted the stream.
func TestSent(t *testing.T) {
	a, b := sockets(t)
	w := link.NewWriter(a)
	var e link.Encoder
	e.Begin(link.HostCall, 1)
	end, err := w.WriteParts(e.FramePrefix(3), []byte("abc"))
	if err != nil || end != w.Sent() || end != uint64(len(e.B)+3) {
		t.Errorf("the end of a frame of %d bytes is %d, %v, and %d are sent", len(e.B)+3, end, err, w.Sent())
	}
	large := make([]byte, 16<<20)
	next := make(chan uint64, 1)
	go func() { // ends with b
		end, _ := w.WriteParts(e.FramePrefix(len(large)), large)
		next <- end
	}()
	b.Close()
	if end := <-next; end <= w.Sent() {
		t.Errorf("a frame that ends at %d was not accepted, and %d bytes are sent", end, w.Sent())
	}
}

// TestRunningSurvives encodes and decodes the requests of a Pong frame, up to the bound on their number.
func TestRunningSurvives(t *testing.T) {
	want := []link.Running{{ID: 1, For: time.Millisecond}, {ID: 1 << 60, For: 24 * time.Hour}, {ID: 3}}
	var e link.Encoder
	e.Begin(link.Pong, 1)
	e.PutRunning(append(slices.Clone(want[:2]), link.Running{ID: 3, For: -time.Second}))
	d := link.Decoder{B: e.Frame()[13:]}
	var got []link.Running
	d.RunningFields(func(r link.Running) { got = append(got, r) })
	if diff := cmp.Diff(want, got); diff != "" || d.Err != nil {
		t.Errorf("%v\n%s", d.Err, diff)
	}
	e.Begin(link.Pong, 1)
	e.Uint(link.MaxRunning + 1)
	e.Raw(make([]byte, 2*(link.MaxRunning+1)))
	d = link.Decoder{B: e.Frame()[13:]}
	d.RunningFields(func(link.Running) { t.Error("a request beyond the bound is accepted") })
	if d.Err == nil {
		t.Error("a Pong frame with too many requests is accepted")
	}
}

// TestCloseAfter posts frames and closes the socket after them: the peer receives all of them.
func TestCloseAfter(t *testing.T) {
	const frames = 1000
	a, b := sockets(t)
	w := link.NewWriter(a)
	var e link.Encoder
	for n := range uint64(frames) {
		e.Begin(link.HostCall, n)
		e.Raw(make([]byte, 1000)) // more in all than the socket holds
		if err := w.Post(e.Frame()); err != nil {
			t.Fatal(err)
		}
	}
	w.CloseAfter(a)
	next := uint64(0)
	r, err := link.NewReader(b, func(_ link.Type, id uint64, _ []byte) error {
		if id != next {
			t.Errorf("frame %d arrives, want %d", id, next)
		}
		next++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(false); !errors.Is(err, io.EOF) || next != frames {
		t.Errorf("Run() = %v after %d frames, want io.EOF after %d", err, next, frames)
	}
}

// TestFramesOfARoundDoNotAllocate is a budget of allocations for frames that wait for one write: their memory is that
// of earlier frames, also if the peer takes them in parts.
func TestFramesOfARoundDoNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("pools drop objects under the race detector")
	}
	const frames, size = 48, 17 << 10
	out := &partly{most: 100_000}
	w := link.NewWriter(out)
	frame := make([]byte, size)
	var sent uint32 // checksum
	round := func() {
		for i := range frames {
			frame[i]++
			sent = crc32.Update(sent, crc32.IEEETable, frame)
			if err := w.Append(frame); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
	}
	round()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const rounds = 50
	for range rounds {
		round()
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / rounds; each > frames*size/4 {
		t.Errorf("a round of %d bytes allocates %d", frames*size, each)
	}
	if want := (rounds + 1) * frames * size; out.n != want || w.Sent() != uint64(want) {
		t.Errorf("%d bytes were written, Sent() = %d, want %d", out.n, w.Sent(), want)
	}
	if out.sum != sent {
		t.Error("other bytes were written than the frames")
	}
}

// partly is a link whose peer takes at most some bytes at a time.
type partly struct {
	most, n int
	sum     uint32 // checksum of the n bytes
}

func (p *partly) Write(b []byte) (int, error) {
	p.n += len(b)
	p.sum = crc32.Update(p.sum, crc32.IEEETable, b)
	return len(b), nil
}

func (p *partly) TryWrite(b []byte) (int, error) { return p.Write(b[:min(len(b), p.most)]) }
