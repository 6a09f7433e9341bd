package main

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
)

// Valid and invalid answers of Redis.
func TestRespReceive(t *testing.T) {
	for in, want := range map[string]string{
		":42\r\n":           "42 ",
		"+OK\r\n":           "0 OK",
		"$5\r\na\r\nbc\r\n": "0 a\r\nbc",
		"$0\r\n\r\n":        "0 ",
		"-ERR no\r\n":       "redis: -ERR no",
		"$-1\r\n":           "redis: a text",
		"$99999999999\r\n":  "redis: a text",
		"$5\r\nab":          "unexpected EOF",
		"\r\n":              "empty line",
		"":                  "EOF",
		":x\r\n":            "invalid syntax",
	} {
		c := resp{r: bufio.NewReader(strings.NewReader(in))}
		number, text, err := c.receive()
		got := string(text)
		if err == nil {
			if n, rest, _ := strings.Cut(want, " "); n != "42" && number != 0 || n == "42" && number != 42 ||
				got != rest {
				t.Errorf("%q is %d %q, want %q", in, number, got, want)
			}
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

func TestRespSend(t *testing.T) {
	var out strings.Builder
	c := resp{w: bufio.NewWriter(&out)}
	c.sendCall(&add)
	if err := c.w.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "*5\r\n$5\r\nFCALL\r\n$3\r\nadd\r\n$1\r\n0\r\n$2\r\n20\r\n$2\r\n22\r\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// The end of the run ends a connection on which nothing comes.
func TestRespEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := dialResp(ctx, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	done := make(chan error, 1)
	go func() { done <- c.call(ctx, &add) }()
	cancel()
	if err := <-done; err == nil {
		t.Error("the server did not answer, and the call succeeded")
	}
}
