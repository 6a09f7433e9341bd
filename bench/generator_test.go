//go:build linux

package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testExchange is an exchange whose answer has free bytes in the middle.
func testExchange() *exchange {
	return &exchange{name: "test", request: []byte("request"), answer: []byte("begin....end"), free: [2]int{5, 9}}
}

// generatorFor returns a generator with connections to a server that runs answer once for each connection.
func generatorFor(t *testing.T, x *exchange, conns int, answer func(nc net.Conn)) *generator {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGenerator(x)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, conns)
	t.Cleanup(func() {
		g.close()
		l.Close()
		for range conns {
			<-done
		}
	})
	for range conns {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer func() { done <- struct{}{} }()
			defer server.Close()
			answer(server)
		}()
		if err := g.add(nc); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// answerAll returns a server that answers each request of the exchange.
func answerAll(x *exchange, answer string) func(nc net.Conn) {
	return func(nc net.Conn) {
		request := make([]byte, len(x.request))
		for {
			if _, err := io.ReadFull(nc, request); err != nil {
				return
			}
			if !bytes.Equal(request, x.request) {
				answer = "a wrong request"
			}
			if _, err := io.WriteString(nc, answer); err != nil {
				return
			}
		}
	}
}

func TestGenerator(t *testing.T) {
	x := testExchange()
	g := generatorFor(t, x, 5, answerAll(x, "begin1234end"))
	for _, d := range []time.Duration{0, time.Millisecond} {
		elapsed, times, err := g.run(d)
		if err != nil || elapsed < d || len(times) < 5 {
			t.Errorf("%s: %d exchanges in %s, %v", d, len(times), elapsed, err)
		}
	}
}

// A wrong answer ends a run, wherever the wrong byte is.
func TestGeneratorWrongAnswer(t *testing.T) {
	for _, answer := range []string{
		"Begin1234end", "begiN1234end", "begin1234End", "begin1234enD", "begin1234end.", "begin1234en.", "wrong", "x",
	} {
		x := testExchange()
		if _, _, err := generatorFor(t, x, 2, answerAll(x, answer)).run(0); !errors.Is(err, errWrong) {
			t.Errorf("answer %q: %v, want errWrong", answer, err)
		}
	}
}

// An answer that does not arrive, or not all of it, is an error.
func TestGeneratorNoAnswer(t *testing.T) {
	x := testExchange()
	g := generatorFor(t, x, 2, func(nc net.Conn) {
		_, _ = io.WriteString(nc, "begin12")
		_, _ = io.Copy(io.Discard, nc)
	})
	g.timeout = 10 * time.Millisecond
	if _, _, err := g.run(0); err == nil || !strings.Contains(err.Error(), "2 of 2 connections got no answer") {
		t.Errorf("half an answer: %v", err)
	}
	g = generatorFor(t, x, 1, func(nc net.Conn) { _, _ = io.ReadFull(nc, make([]byte, len(x.request))) })
	if _, _, err := g.run(0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("closed connection: %v", err)
	}
}

// An answer may arrive in any number of pieces. Each piece is compared.
func TestGeneratorPartialReads(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[0])
	defer syscall.Close(fds[1])
	x := testExchange()
	const answer = "begin1234end"
	for size := 1; size <= len(answer); size++ {
		c := generatorConn{fd: fds[0], buf: make([]byte, len(answer)+1)}
		for sent := 0; sent < len(answer); {
			if whole, err := c.receive(x); whole || err != nil {
				t.Fatalf("%d of %d bytes in pieces of %d: %v, %v", sent, len(answer), size, whole, err)
			}
			n, err := syscall.Write(fds[1], []byte(answer[sent:min(sent+size, len(answer))]))
			if err != nil {
				t.Fatal(err)
			}
			sent += n
			whole, err := c.receive(x)
			if err != nil || whole != (sent == len(answer)) {
				t.Fatalf("%d of %d bytes in pieces of %d: %v, %v", sent, len(answer), size, whole, err)
			}
			if whole {
				break
			}
		}
	}
	c := generatorConn{fd: fds[0], buf: make([]byte, len(answer)+1)}
	for _, piece := range []string{"beg", "in12", "34eNd"} {
		if _, err := syscall.Write(fds[1], []byte(piece)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.receive(x); errors.Is(err, errWrong) != (piece == "34eNd") {
			t.Errorf("piece %q: %v", piece, err)
		}
	}
}

// A request that is larger than the socket's buffers is sent in parts.
func TestGeneratorPartialWrites(t *testing.T) {
	x := testExchange()
	x.request = bytes.Repeat([]byte("0123456789"), 1_600_000)
	g := generatorFor(t, x, 2, answerAll(x, "begin1234end"))
	_, times, err := g.run(0)
	if err != nil || len(times) != 2 {
		t.Errorf("%d exchanges, %v", len(times), err)
	}
}

func TestRedisExchange(t *testing.T) {
	x := redisExchange(&add, 2)
	call := "*5\r\n$5\r\nFCALL\r\n$3\r\nadd\r\n$1\r\n0\r\n$2\r\n20\r\n$2\r\n22\r\n"
	if string(x.request) != call+call || string(x.answer) != ":42\r\n:42\r\n" {
		t.Errorf("%q, %q", x.request, x.answer)
	}
	if x.matches([]byte(":42\r\n:43\r\n"), 0) || !x.matches([]byte(":42\r\n:42\r\n"), 5) {
		t.Error("the answers are not compared")
	}
}

// The load process reports an impossible load and a server that does not answer correctly.
func TestGenerate(t *testing.T) {
	for _, args := range []string{"", "{}", `{"Work":"add","Conns":1}`, `{"Work":"other","Conns":1,"Batch":1}`} {
		if err := generate(t.Context(), args, strings.NewReader("go\n"), io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
