package host_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// halfCloser is a channel that can end its direction: TLS by close_notify, HMAC by the final record. The socket stays
// open in both directions.
type halfCloser interface{ CloseWrite() error }

// TestHalfClosedChannels ends the client's direction of a connection that a loop owns: alone, and after calls that
// arrive with it or before it. The calls are answered, and then the host ends its own direction.
func TestHalfClosedChannels(t *testing.T) {
	h := securedHost(t)
	want := 0
	for channel := range secured {
		for name, calls := range map[string]int{"alone": 0, "after a call": 1, "after two calls": 2} {
			for _, segments := range []bool{false, true} {
				c, socket := securedDial(t, h, channel)
				for range 3 { // the last ones are handled by the loop
					if want++; c.put(t) != fmt.Sprint(want) {
						t.Fatalf("%s, %s: the list has %s elements, want %d",
							channel, name, c.lastReply.Payload, want)
					}
				}
				if segments { // each record is a separate write
					callsAndEnd(t, c, calls)
				} else {
					last := socket.take(func() { callsAndEnd(t, c, calls) })
					_ = socket.SetDeadline(time.Time{}) // package tls has forbidden writes
					if _, err := socket.Write(last); err != nil {
						t.Fatal(err)
					}
				}
				_ = socket.SetReadDeadline(time.Now().Add(time.Minute))
				for range calls {
					c.read(t)
					want++
					if string(c.lastReply.Payload) != fmt.Sprint(want) {
						t.Errorf("%s, %s: the list has %s elements, want %d",
							channel, name, c.lastReply.Payload, want)
					}
				}
				if n, err := c.Conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("%s, %s: after the end: %d bytes, %v; want io.EOF, which needs the host's end",
						channel, name, n, err)
				}
				c.Close()
			}
		}
	}
}

// callsAndEnd sends calls and ends the client's direction.
func callsAndEnd(t *testing.T, c *rawClient, calls int) {
	t.Helper()
	for range calls {
		c.call(t, 0, "acme.list", "put", "x")
	}
	if err := c.Conn.(halfCloser).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}
