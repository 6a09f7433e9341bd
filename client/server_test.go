package client_test

import (
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a small Pyro daemon of either generation for tests.
type server struct {
	ln   net.Listener
	wg   sync.WaitGroup
	mu   sync.Mutex // guards the fields below
	open map[net.Conn]bool
	seen []string      // called methods, in order
	cons int           // number of accepted connections
	hold chan struct{} // closed to end the method "wait"
	came chan struct{} // receives a token for each call of "wait"
	note chan string   // receives the methods of oneway calls

	speaks atomic.Uint32 // protocol of all replies; 0 is the client's
}

// start returns a server that runs until stop.
func start(network, addr string) (*server, error) {
	ln, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	s := &server{
		ln:   ln,
		open: map[net.Conn]bool{},
		hold: make(chan struct{}),
		came: make(chan struct{}, 100),
		note: make(chan string, 100),
	}
	s.wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open[nc] = true
			s.cons++
			s.mu.Unlock()
			s.wg.Go(func() { s.talk(nc) })
		}
	})
	return s, nil
}

// stop closes all connections and waits for the goroutines of the server.
func (s *server) stop() {
	s.ln.Close()
	s.hangUp()
	s.wg.Wait()
}

// serve returns a server that runs until the end of the test.
func serve(t testing.TB, network, addr string) *server {
	t.Helper()
	s, err := start(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

func tcpServer(t testing.TB) *server { return serve(t, "tcp", "127.0.0.1:0") }

func unixServer(t testing.TB) (*server, string) {
	path := filepath.Join(t.TempDir(), "s")
	return serve(t, "unix", path), "unix:" + path
}

// hangUp closes all connections.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.open {
		nc.Close()
	}
}

func (s *server) conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cons
}

func (s *server) talk(nc net.Conn) {
	defer nc.Close()
	in := wire.NewReader(nc, 0)
	var m wire.Message
	var item int64
	for in.Read(&m) == nil {
		answer := wire.Message{Protocol: m.Protocol, Type: wire.Result, Serializer: m.Serializer, Seq: m.Seq}
		if p := s.speaks.Load(); p != 0 {
			answer.Protocol = wire.Protocol(p)
		}
		var result any
		switch m.Type {
		case wire.Connect:
			answer.Type = wire.ConnectOK
			result = "hello"
		case wire.Ping:
			answer.Type = wire.Ping
		default:
			var ok bool
			result, ok = s.invoke(nc, &m, &answer, &item)
			if !ok {
				continue
			}
		}
		ser := pyro.Serializer(m.Protocol, m.Serializer)
		if ser != nil {
			answer.Payload, _ = codec.Append(ser, nil, result)
		}
		out, _ := wire.AppendCompressed(nil, &answer)
		if _, err := nc.Write(out); err != nil {
			return
		}
	}
}

func exception(class string, args ...any) any {
	return codec.Dict{
		{Key: "__class__", Value: class},
		{Key: "__exception__", Value: true},
		{Key: "args", Value: codec.Tuple(args)},
		{Key: "attributes", Value: map[string]any{"_pyroTraceback": []any{"a line\n"}}},
	}
}

func list(v any) []any {
	if l, ok := v.(codec.Tuple); ok {
		return l
	}
	l, _ := v.([]any)
	return l
}

// invoke runs one call. It returns false for a call without a reply.
func (s *server) invoke(nc net.Conn, m, answer *wire.Message, item *int64) (any, bool) {
	payload := m.Payload
	if m.Flags&wire.Compressed != 0 {
		payload, _ = wire.Inflate(nil, payload, 0)
	}
	v, err := codec.Unmarshal(pyro.Serializer(m.Protocol, m.Serializer), payload, codec.Limits{})
	if err != nil {
		nc.Close()
		return nil, false
	}
	call := list(v)
	if dict, ok := v.(map[string]any); ok {
		call = []any{dict["object"], dict["method"], dict["params"], dict["kwargs"]}
	}
	if m.Flags&wire.Batch != 0 {
		return s.batch(m, answer, list(call[2])), true
	}
	method := call[1].(string)
	kw, _ := call[3].(map[string]any)
	result := s.method(nc, answer, item, method, list(call[2]), kw)
	if m.Flags&wire.Oneway != 0 {
		s.note <- method
		return nil, false
	}
	return result, true
}

func (s *server) batch(m, answer *wire.Message, calls []any) any {
	answer.Flags |= wire.Batch
	var results []any
	for _, c := range calls {
		triple := list(c)
		if triple[0] == "fail" {
			class := "Pyro5.core._ExceptionWrapper"
			if m.Protocol == wire.Pyro4 {
				class = "Pyro4.futures._ExceptionWrapper"
			}
			return append(results, codec.Dict{
				{Key: "__class__", Value: class},
				{Key: "exception", Value: exception("builtins.ValueError", "boom")},
			})
		}
		results = append(results, list(triple[1])[0])
	}
	return results
}

func (s *server) method(
	nc net.Conn, answer *wire.Message, item *int64, method string, args []any, kw map[string]any,
) any {
	s.mu.Lock()
	s.seen = append(s.seen, method)
	s.mu.Unlock()
	switch method {
	case "echo":
		return args[0]
	case "keyword":
		return kw["word"]
	case "fail":
		answer.Flags |= wire.Exception
		return exception("builtins.ValueError", "boom")
	case "deny":
		answer.Flags |= wire.Exception
		return exception(answer.Protocol.Module()+".errors.SecurityError", "access denied")
	case "hangup":
		nc.Close()
	case "wait":
		s.came <- struct{}{}
		<-s.hold
	case "wrong_seq":
		answer.Seq += 776
	case "wrong_serializer":
		answer.Serializer++
	case "wrong_type":
		answer.Type = wire.ConnectOK
	case "numbers":
		*item = 0
		answer.Flags |= wire.ItemStream | wire.Exception
		answer.Annotations = []wire.Annotation{{ID: [4]byte{'S', 'T', 'R', 'M'}, Value: []byte("stream-1")}}
		return exception(answer.Protocol.Module()+".errors.ProtocolError", "result of call is an iterator")
	case "get_next_stream_item":
		*item++
		if *item > 3 {
			answer.Flags |= wire.Exception
			return exception("builtins.StopIteration")
		}
		return *item
	case "get_metadata":
		return map[string]any{"methods": codec.Tuple{"b", "a"}, "oneway": []any{"b"}, "attrs": []any{}}
	case "__getattr__":
		return "the " + args[0].(string)
	}
	return nil
}
