package client_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/wire"
)

// answered is one line of the client side vectors: a reply, and the result in a Python client.
type answered struct{ Name, Hex, Note, Client string }

func answers(t *testing.T, file string) []answered {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "wire", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []answered
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var a answered
		if err := json.Unmarshal(s.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	if s.Err() != nil || len(all) < 50 {
		t.Fatalf("%s: %d lines, %v", file, len(all), s.Err())
	}
	return all
}

// script replies to one connection with the recorded bytes. It sends them at the CONNECT if they are a reply to that,
// and closes the connection after the client.
func script(nc net.Conn, a answered, raw []byte) {
	defer nc.Close()
	in := wire.NewReader(nc, 0)
	var m wire.Message
	if in.Read(&m) != nil {
		return
	}
	atConnect := strings.HasPrefix(a.Name, "hello.") && !strings.Contains(a.Client, "connection kept")
	if !atConnect {
		ok := wire.Message{Protocol: m.Protocol, Type: wire.ConnectOK, Serializer: m.Serializer, Seq: m.Seq}
		ok.Payload, _ = codec.Append(pyro.Serializer(m.Protocol, m.Serializer), nil, "hello")
		out, _ := wire.Append(nil, &ok)
		if _, err := nc.Write(out); err != nil || in.Read(&m) != nil {
			return
		}
	}
	if _, err := nc.Write(raw); err != nil || a.Name == "reply.partial" {
		return
	}
	for in.Read(&m) == nil {
	}
}

// unscripted reports whether a vector is not one reply to one call. Such are silence, replies with only the handshake
// recorded, a key, and checks against metadata; this client has no key and makes no such checks.
func unscripted(a answered) bool {
	for _, part := range []string{
		"silence", "hmac", "reply.closed", "reply.answer_to_oneway", "attribute.unknown", "attribute.set_unknown",
		"stream.", "batch.", "hello.no_members", "hello.no_oneway_key", "hello.no_flag", "hello.empty_payload",
		"hello.meta_none",
	} {
		if strings.Contains(a.Name, part) {
			return true
		}
	}
	return false
}

func TestAnswersThatClientsSaw(t *testing.T) {
	for _, p := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		file := strings.ToLower(p.Module()) + "-clientside.jsonl"
		for _, a := range answers(t, file) {
			if unscripted(a) {
				continue
			}
			t.Run(p.Module()+"/"+a.Name, func(t *testing.T) {
				raw, err := hex.DecodeString(a.Hex)
				if err != nil {
					t.Fatal(err)
				}
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					if nc, err := ln.Accept(); err == nil {
						script(nc, a, raw)
					}
				}()
				c := newClient(t, client.Config{Address: ln.Addr().String(), Protocol: p, Timeout: 10 * time.Second})
				v, err := c.Object("obj").Call(t.Context(), "m")
				c.Close()
				ln.Close()
				<-done
				judge(t, a, v, err)
			})
		}
	}
}

// judge compares an outcome with that of a Python client. Its returned values must be returned. Its exceptions must
// be errors, and remote errors if the server raised them.
func judge(t *testing.T, a answered, v any, err error) {
	t.Helper()
	var remote *client.RemoteError
	isRemote := errors.As(err, &remote)
	switch {
	case strings.HasPrefix(a.Client, "returns 1;"):
		if v != int64(1) || err != nil {
			t.Errorf("%v, %v", v, err)
		}
	case strings.HasPrefix(a.Client, "returns"):
		if err != nil {
			t.Error(err)
		}
	case strings.HasPrefix(a.Name, "hello.fail_"):
		away := strings.Contains(a.Client, "go away")
		if executed(t, err) != client.No || away && !strings.Contains(err.Error(), "rejected: go away") {
			t.Errorf("%v", err)
		}
	case strings.HasSuffix(a.Name, "_payload") && strings.HasPrefix(a.Name, "error."):
		if executed(t, err) != client.Yes {
			t.Errorf("%v", err)
		}
	case strings.HasPrefix(a.Name, "error."):
		// The client creates no classes, so it reports unknown ones too.
		if !isRemote || remote.Class == "" {
			t.Errorf("%v, %v", v, err)
		}
	case strings.HasPrefix(a.Name, "value."):
		// The client creates no objects: a dict with an unknown class may be a value or an error.
	default:
		if err == nil || isRemote {
			t.Errorf("%v, %v; a Python client %s", v, err, a.Client)
		}
	}
}
