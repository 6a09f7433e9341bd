package plugins

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// piped is a listener of connections within the process.
type piped struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPiped() *piped { return &piped{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *piped) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *piped) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *piped) Addr() net.Addr { return &net.UnixAddr{Name: "piped"} }

func (p *piped) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// slowHost is a host whose calls of others wait.
type slowHost struct {
	rpc.UnimplementedHostServer
	entered chan struct{}
	open    chan struct{}
}

func (s *slowHost) Proxy(context.Context, *rpc.ProxyRequest) (*rpc.CallReply, error) {
	s.entered <- struct{}{}
	<-s.open
	return &rpc.CallReply{Payload: make([]byte, 1<<20)}, nil
}

// Frames of HTTP/2, as far as the attack needs them.
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameWindow = 0, 1, 3, 4, 6, 8
	endHeaders, ack                                                            = 4, 1
	firstWindow                                                                = 65535
)

func h2Frame(typ, flags byte, stream uint32, body []byte) []byte {
	b := []byte{byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body)), typ, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), body...)
}

// halfSender is an HTTP/2 client that begins large messages and does not end them, as fast as the other end's windows
// let it.
type halfSender struct {
	conn net.Conn

	mu     sync.Mutex // guards the fields below
	wake   sync.Cond
	writes sync.Mutex
	window map[uint32]int // by stream; 0 is the connection's
	sent   map[uint32]int
	ended  map[uint32]bool
	closed bool
}

func attack(conn net.Conn, streams int) *halfSender {
	a := &halfSender{
		conn:   conn,
		window: map[uint32]int{0: firstWindow},
		sent:   map[uint32]int{},
		ended:  map[uint32]bool{},
	}
	a.wake.L = &a.mu
	go a.read()
	a.write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	a.write(h2Frame(frameSettings, 0, 0, nil))
	var headers []byte
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", rpc.Host_Proxy_FullMethodName},
		{":authority", "host"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		headers = append(append(headers, 0, byte(len(h[0]))), h[0]...)
		headers = append(append(headers, byte(len(h[1]))), h[1]...)
	}
	for i := range streams {
		id := uint32(2*i + 1)
		a.mu.Lock()
		a.window[id] = firstWindow
		a.mu.Unlock()
		a.write(h2Frame(frameHeaders, endHeaders, id, headers))
		go a.send(id)
	}
	return a
}

func (a *halfSender) write(b []byte) {
	a.writes.Lock()
	defer a.writes.Unlock()
	_, _ = a.conn.Write(b)
}

// send sends 4 MiB of a message of 8 MiB.
func (a *halfSender) send(id uint32) {
	const size, half = 8 << 20, 4 << 20
	first := append([]byte{0}, binary.BigEndian.AppendUint32(nil, size)...)
	for sent := 0; sent < half; {
		a.mu.Lock()
		for !a.closed && !a.ended[id] && (a.window[0] <= 0 || a.window[id] <= 0) {
			a.wake.Wait()
		}
		n := min(a.window[0], a.window[id], 16<<10)
		a.window[0] -= n
		a.window[id] -= n
		over := a.closed || a.ended[id]
		a.mu.Unlock()
		if over {
			return
		}
		b := make([]byte, n)
		copy(b, first)
		first = nil
		a.write(h2Frame(frameData, 0, id, b))
		sent += n
		a.mu.Lock()
		a.sent[id] = sent
		a.mu.Unlock()
	}
}

// read takes windows and ends of streams.
func (a *halfSender) read() {
	defer func() { a.mu.Lock(); a.closed = true; a.mu.Unlock(); a.wake.Broadcast() }()
	head := make([]byte, 9)
	for {
		if _, err := io.ReadFull(a.conn, head); err != nil {
			return
		}
		body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(a.conn, body); err != nil {
			return
		}
		id := binary.BigEndian.Uint32(head[5:])
		switch typ, flags := head[3], head[4]; {
		case typ == frameSettings && flags&ack == 0:
			go a.write(h2Frame(frameSettings, ack, 0, nil))
		case typ == framePing && flags&ack == 0:
			go a.write(h2Frame(framePing, ack, 0, body))
		case typ == frameWindow:
			a.mu.Lock()
			a.window[id] += int(binary.BigEndian.Uint32(body))
			a.mu.Unlock()
			a.wake.Broadcast()
		case typ == frameHeaders, typ == frameReset:
			a.mu.Lock()
			a.ended[id] = true
			a.mu.Unlock()
			a.wake.Broadcast()
		}
	}
}

// received returns how many streams the host has taken more of than it must, and how many bytes of all.
func (a *halfSender) received() (streams, bytes, ended int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.sent {
		bytes += n
		if n > 2*firstWindow {
			streams++
		}
	}
	return streams, bytes, len(a.ended)
}

// TestHalfSentRequests: of a hundred messages that a plugin begins and does not end the host takes in a few, and gives
// up on them after a while.
func TestHalfSentRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &slowHost{entered: make(chan struct{}, 100), open: make(chan struct{})}
		s := newHostServer(service, noBudget{}, grpc.Creds(insecure.NewCredentials()))
		l := newPiped()
		go func() { _ = s.Serve(l) }() // ends with Stop
		a := attack(l.dial(), 100)
		synctest.Wait()
		streams, bytes, ended := a.received()
		if most := maxReceiving*(4<<20) + 100*2*firstWindow; streams != maxReceiving || bytes > most || ended != 0 {
			t.Errorf("%d messages are taken in, %d bytes of all; want %d and %d at most", streams, bytes, maxReceiving,
				most)
		}
		// A message of another connection waits for a slot, and gets one.
		conn := dialPiped(t, l)
		close(service.open)
		if r, err := rpc.NewHostClient(conn).Proxy(t.Context(), &rpc.ProxyRequest{}); err != nil ||
			r.GetFailure() != nil {
			t.Errorf("a whole message: %v, %v", r.GetFailure(), err)
		}
		if _, _, ended := a.received(); ended < maxReceiving {
			t.Errorf("%d of the messages were given up", ended)
		}
		a.conn.Close()
		conn.Close()
		s.Stop()
	})
}

func dialPiped(t *testing.T, l *piped) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///host", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return l.dial(), nil }))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// limited is a budget with a limit.
type limited struct {
	mu   sync.Mutex
	left int
}

func (l *limited) Acquire(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n > l.left {
		return errors.New("too many bytes in flight of tenant acme: limit 4 MiB")
	}
	l.left -= n
	return nil
}

func (l *limited) Release(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left += n
}

// TestRequestsAreCounted: requests of a plugin under way, and answers that it does not read, are taken from a budget
// and given back.
func TestRequestsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 4<<20 + 1000
		budget := &limited{left: most}
		service := &slowHost{entered: make(chan struct{}, 100), open: make(chan struct{})}
		s := newHostServer(service, budget, grpc.Creds(insecure.NewCredentials()))
		l := newPiped()
		go func() { _ = s.Serve(l) }() // ends with Stop
		conn := dialPiped(t, l)
		results := make(chan string, 20)
		for range 10 {
			go func() {
				r, err := rpc.NewHostClient(conn).Proxy(t.Context(), &rpc.ProxyRequest{Payload: make([]byte, 1<<20)})
				if err != nil {
					results <- err.Error()
					return
				}
				results <- r.GetFailure().GetMessage()
			}()
		}
		synctest.Wait()
		if n := len(service.entered); n != 4 {
			t.Errorf("%d requests of 1 MiB are running, want 4", n)
		}
		const want = "limit exceeded: too many bytes in flight of tenant acme: limit 4 MiB; not executed"
		for range 6 {
			if got := <-results; got != want {
				t.Errorf("one more: %q, want %q", got, want)
			}
		}
		close(service.open)
		lost := 0
		for range 4 {
			if got := <-results; strings.HasSuffix(got, "the call was executed, its result is lost") {
				lost++
			} else if got != "" {
				t.Errorf("one of the four: %q", got)
			}
		}
		synctest.Wait()
		if budget.left != most {
			t.Errorf("%d bytes are left of %d in the end; %d results were lost", budget.left, most, lost)
		}
		conn.Close()
		s.Stop()
	})
}

// TestCallsOfAPlugin: the running calls of a plugin are limited.
func TestCallsOfAPlugin(t *testing.T) {
	pr := &process{calls: map[uint64]*running{}}
	for range maxCalls {
		if _, _, err := pr.begin(&object.Call{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := pr.begin(&object.Call{}); object.CodeOf(err) != object.CodeExhausted {
		t.Errorf("one more: %v", err)
	}
}

// TestHalfSentAnswers: a plugin that begins many answers and does not end them has the host take in a few at a time,
// and give up on them after a while.
func TestHalfSentAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 3 * maxReceiving
		s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			if err := s.SendHeader(nil); err != nil {
				return err
			}
			<-s.Context().Done()
			return nil
		}))
		l := newPiped()
		go func() { _ = s.Serve(l) }() // ends with Stop
		pr := &process{conn: dialPiped(t, l), answers: newReceiveSlots()}
		from := time.Now()
		results := make(chan error, calls)
		for range calls {
			go func() {
				_, err := roundTrip[rpc.CallReply](t.Context(), pr, rpc.Plugin_Call_FullMethodName, &rpc.CallRequest{})
				results <- err
			}()
		}
		synctest.Wait()
		if n := len(pr.answers); n != maxReceiving {
			t.Errorf("%d answers are taken in, want %d", n, maxReceiving)
		}
		for range calls {
			if err := <-results; status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("an answer that does not end: %v", err)
			}
		}
		if took := time.Since(from); took != calls/maxReceiving*receiveTimeout {
			t.Errorf("they took %s", took)
		}
		pr.conn.Close()
		s.Stop()
	})
}
