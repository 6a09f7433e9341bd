package host_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/wire"
)

// recorded is a recorded message of a client, and the CONNECT message of its conversation.
type recorded struct {
	name             string
	connect, message []byte
}

// recordedMessages returns every recorded message of clients.
func recordedMessages(t testing.TB) (all []recorded) {
	t.Helper()
	files, err := filepath.Glob("../wire/testdata/*.jsonl")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files with recorded messages: %v", len(files), err)
	}
	connects := map[string][]byte{} // by protocol
	for _, serpent := range []bool{true, false} {
		for _, file := range files {
			if strings.Contains(file, "serpent") != serpent { // the others may have no CONNECT message
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			protocol := filepath.Base(file)[:len("pyro4")]
			connect := connects[protocol]
			for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
				var r struct{ Name, Direction, Hex string }
				if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				b, err := hex.DecodeString(r.Hex)
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				if r.Direction != "c2s" || len(b) == 0 {
					continue
				}
				if connect == nil || strings.HasPrefix(r.Name, "handshake.") {
					connect = b
				}
				if connects[protocol] == nil {
					connects[protocol] = connect
				}
				all = append(all, recorded{protocol + " " + r.Name, connect, b})
			}
		}
	}
	return all
}

// feeders are two hosts with the same objects: the connections of one are parked in an event loop, those of the other
// keep their goroutines.
type feeders struct{ looped, plain string }

// startFeeders starts both hosts.
func startFeeders(t testing.TB) feeders {
	t.Helper()
	looped, plain := startFeederHosts(t, func() string { return "" })
	return feeders{looped.Addrs()[0], plain.Addrs()[0]}
}

// startFeederHosts starts both hosts. listener returns one more listener for the policy of each.
func startFeederHosts(t testing.TB, listener func() string) (looped, plain *host.Host) {
	t.Helper()
	if *goroutines {
		t.Skip("SKIPPED: the host runs without an event loop")
	}
	const policy = everything + `
tenant "example" {}
permit "owner may call the recorded object" {
  principals = ["owner"]
  objects    = ["example.*"]
}
`
	// Methods of the recorded object, without state: a host has the same answers to all connections.
	const service = `
local S = hearth.object { instance = "call" }
function S.expose:add(a, b) return a + b end
function S.expose:echo(v) return v end
function S.expose:nothing() end
function S.expose:blob(n) return ("x"):rep(n or 1) end
function S.expose:fail() error(hearth.exception("ValueError", "failed")) end
function S.oneway:notify() end
function S.get:value() return 1 end
function S.set:value(v) end
return S`
	with := func(c *host.Config) {
		file := filepath.Join(filepath.Dir(c.PolicyFile), "scripts", "example", "service.lua")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(service), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	host.DisableLoops()
	plain, _ = startHost(t, policy+listener(), with)
	host.EnableLoops()
	looped, _ = startHost(t, policy+listener(), with)
	return looped, plain
}

// converse sends CONNECT, and after its answer a message in parts and the end. It returns the answers.
func converse(addr string, connect []byte, parts [][]byte) (answers []wire.Message, err error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	in := wire.NewReader(nc, 64<<20)
	read := func() bool {
		var m wire.Message
		if err := in.Read(&m); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				answers = append(answers, wire.Message{Payload: []byte("the host has neither answered nor closed")})
			}
			return false
		}
		m.Payload = bytes.ReplaceAll(m.Payload, []byte(addr), []byte("the host's address"))
		m.Corr, m.HasCorr = [16]byte{}, false // of the host
		answers = append(answers, m)
		return true
	}
	if _, err := nc.Write(connect); err != nil || !read() || answers[0].Type != wire.ConnectOK {
		return answers, err
	}
	for _, part := range parts {
		if _, err := nc.Write(part); err != nil {
			break // the host has closed the connection
		}
	}
	_ = nc.(*net.TCPConn).CloseWrite()
	for read() {
	}
	return answers, nil
}

// partition cuts a message into parts of the given lengths, and the rest.
func partition(b []byte, lengths ...int) (parts [][]byte) {
	for _, n := range lengths {
		if n = min(n, len(b)); n > 0 {
			parts, b = append(parts, b[:n]), b[n:]
		}
	}
	return append(parts, b)
}

// check sends a message whole to the host without a loop, and in parts to both. The answers are the same.
func (f feeders) check(t *testing.T, connect, message []byte, lengths ...int) {
	t.Helper()
	want, err := converse(f.plain, connect, partition(message))
	if err != nil {
		t.Fatal(err)
	}
	for name, addr := range map[string]string{"loop": f.looped, "goroutine": f.plain} {
		got, err := converse(addr, connect, partition(message, lengths...))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the %s gives other answers to parts of %v bytes:\n%s", name, lengths, diff)
		}
	}
}

// TestFeedersAgree sends every recorded message of a client in three parts, which differ from message to message.
func TestFeedersAgree(t *testing.T) {
	f := startFeeders(t)
	all := recordedMessages(t)
	for i, r := range all {
		t.Run(fmt.Sprintf("%d %s", i, r.name), func(t *testing.T) {
			t.Parallel()
			f.check(t, r.connect, r.message, (7+13*i)%len(r.message), i%40)
		})
	}
}

// FuzzFeeders sends any bytes in any partition to both kinds of connections.
func FuzzFeeders(f *testing.F) {
	all := recordedMessages(f)
	for i := 0; i < len(all); i += 25 {
		f.Add(all[i].message, []byte{byte(i), 24, 40})
	}
	both := startFeeders(f)
	connect := all[0].connect
	f.Fuzz(func(t *testing.T, message, lengths []byte) {
		var parts []int
		for _, n := range lengths[:min(len(lengths), 20)] {
			parts = append(parts, int(n))
		}
		both.check(t, connect, message, parts...)
	})
}
