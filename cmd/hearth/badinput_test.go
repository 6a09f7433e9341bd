package main_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// record is a line of the recorded conversations.
type record struct {
	Name      string
	Direction string
	Hex       string
	After     string
	Note      string
}

func (r record) bytes() []byte {
	b, err := hex.DecodeString(r.Hex)
	if err != nil {
		panic(err) // the recordings are ours
	}
	return b
}

func recorded(t *testing.T, file string) []record {
	t.Helper()
	f, err := os.Open("../../wire/testdata/" + file)
	check(t, err)
	defer f.Close()
	var out []record
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		check(t, json.Unmarshal(lines.Bytes(), &r))
		out = append(out, r)
	}
	check(t, lines.Err())
	return out
}

// named returns the bytes of one recorded message.
func named(t *testing.T, records []record, name string) []byte {
	t.Helper()
	for _, r := range records {
		if r.Name == name {
			return r.bytes()
		}
	}
	t.Fatalf("there is no record %s", name)
	return nil
}

// step is an invalid request with the reaction of a Python daemon.
type step struct {
	name string
	send []byte
	// answer is the kind of the reply: "ok", "error", "connected", "refused", "pong", or "silent" without a reply.
	answer string
	after  string // "open" or "closed"
}

func (s step) outcome() string { return s.answer + ", " + s.after }

// otherSettings are recorded from daemons with settings that hearth does not have (a
// message limit of 700 bytes, an HMAC key, one worker thread, a short time-out), so that
// there is nothing to compare.
var otherSettings = map[string]string{
	"connect.too_large": "limit 700", "call.too_large": "limit 700", "call.answer_too_large": "limit 700",
	"call.one_above_the_limit": "limit 700",
	"call.hmac_missing":        "key", "call.hmac_wrong": "key", "call.hmac_ok": "key",
	"call.hmac_header_changed": "key",
	"call.hmac_annotations":    "key", "connect.hmac_ok": "key", "connect.hmac_missing": "key",
	"connect.hmac_wrong": "key", "connect.hmac_wrong_key": "key",
	"connect.no_free_workers": "one worker", "call.idle_timeout": "time-out", "connect.idle_timeout": "time-out",
}

// deliberate lists where hearth does otherwise than a Python daemon, and why that is
// better. Names without a generation hold for both.
var deliberate = map[string]struct{ outcome, why string }{
	"connect.other_protocol": {"connected, closed",
		"one listener speaks both generations; the host closes on a switch " +
			"back to this one in mid-connection"},
	"pyro4/connect.annotation_overrun": {"refused, closed",
		"a chunk that overruns its area is refused, not cut: no honest peer sends it"},
	"pyro4/call.annotation_overrun": {"silent, closed",
		"a chunk that overruns its area is refused, not cut: no honest peer sends it"},
	"pyro4/call.pickle_not_accepted":  {"silent, closed", "a reply in pickle would need a pickle encoder"},
	"pyro4/call.msgpack_not_accepted": {"error, open", "msgpack is accepted here; this payload does not parse"},
	"call.marshal_not_parsable":       {"error, closed", "marshal is refused before its payload is looked at"},
	"call.kwargs_none":                {"ok, open", "None as keyword arguments means no arguments"},
	"call.params_string": {"error, open",
		"arguments are a list or a tuple; that a text works in Python is an accident"},
	"call.raises_connection_closed": {"error, open",
		"an object's error is a reply and ends no connection; clients close theirs after this class"},
	"call.raises_timeout": {"error, open",
		"an object's error is a reply and ends no connection; clients close theirs after this class"},
	"call.raises_communication": {"error, open",
		"an object's error is a reply and ends no connection; clients close theirs after this class"},
	"call.raises_protocol": {"error, open",
		"an object's error is a reply and ends no connection; clients close theirs after this class"},
	"call.raises_serialize": {"error, open",
		"an object's error is a reply and ends no connection; clients close theirs after this class"},
	"call.raises_security": {"error, open",
		"an object's error ends no connection, which other objects share"},
	"pyro5/call.bad_compression": {"error, open",
		"broken compression concerns one message, whose bounds are known"},
	"connect.http":                    {"silent, closed", "an HTTP client is answered in HTTP: TestHTTPClient"},
	"call.unknown_class":              {"ok, open", "a class of an application is a table with its name"},
	"connect.unknown_class":           {"connected, open", "the handshake value is skipped unread"},
	"connect.double_underscore_class": {"connected, open", "the handshake value is skipped unread"},
	"call.result_not_serializable_json": {"error, open",
		"an invalid result is an error of the script; the connection stays open"},
	"call.raises_in_callback": {"error, open", "objects here have no callback methods"},
}

func steps(t *testing.T, gen int) []step {
	t.Helper()
	var out []step
	byName := map[string]int{}
	for _, r := range recorded(t, fmt.Sprintf("pyro%d-badinput.jsonl", gen)) {
		name, kind, _ := cutLast(r.Name, ".")
		if strings.HasSuffix(name, ".then") {
			continue
		}
		switch {
		case kind == "req":
			byName[name] = len(out)
			out = append(out, step{name: name, send: r.bytes(), answer: "silent"})
		case kind == "resp":
			s := &out[byName[name]]
			s.after = strings.Replace(r.After, "reset", "closed", 1)
			if b := r.bytes(); len(b) > 0 {
				m, err := parseMessage(b)
				check(t, err)
				s.answer = m.kind()
			}
		}
	}
	if len(out) < 50 {
		t.Fatalf("only %d steps", len(out))
	}
	return out
}

func TestBadInput(t *testing.T) {
	h := startHost(t)
	for _, gen := range []int{4, 5} {
		normal := recorded(t, fmt.Sprintf("pyro%d-serpent.jsonl", gen))
		hello, call := named(t, normal, "handshake.req"), named(t, normal, "call_simple.req")
		for _, s := range steps(t, gen) {
			t.Run(fmt.Sprintf("pyro%d/%s", gen, s.name), func(t *testing.T) {
				t.Parallel()
				if why := otherSettings[s.name]; why != "" {
					t.Skipf("recorded with another setting: %s", why)
				}
				want, why := s.outcome(), ""
				for _, key := range []string{fmt.Sprintf("pyro%d/%s", gen, s.name), s.name} {
					if d, ok := deliberate[key]; ok {
						want, why = d.outcome, d.why
						break
					}
				}
				got := replay(t, h, s, hello, call)
				switch {
				case got == want:
				case want == "silent, closed" && why == "" && got == "error, closed" &&
					!strings.Contains(s.name, "hmac"):
					// An error before the close breaks no client.
				case want == "silent, closed" && why == "" && got == "refused, closed":
				case why == "":
					t.Errorf("%s: got %q, a Python daemon does %q", s.name, got, want)
				default:
					t.Errorf("%s: got %q, want %q, since %s", s.name, got, want, why)
				}
			})
		}
	}
}

// replay sends an invalid request and returns the reaction of the host.
func replay(t *testing.T, h *liveHost, s step, hello, call []byte) string {
	t.Helper()
	nc, err := net.Dial("tcp", h.tcp)
	check(t, err)
	defer nc.Close()
	check(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	in := bufio.NewReader(nc)
	if strings.HasPrefix(s.name, "call.") {
		_, err := nc.Write(hello)
		check(t, err)
		m, err := readMessage(in)
		check(t, err)
		if m.kind() != "connected" {
			t.Fatalf("the handshake was answered with %s: %q", m.kind(), m.rest)
		}
	}
	_, err = nc.Write(s.send)
	check(t, err)
	if strings.Contains(s.name, "truncated_") || strings.HasSuffix(s.name, ".truncated") ||
		strings.Contains(s.name, "halfclose") {
		check(t, nc.(*net.TCPConn).CloseWrite())
		return hear(in)
	}

	answer := "silent"
	next, good := withSeq(call, nextSeq), "ok"
	switch s.outcome() {
	case "silent, open": // an answer would come before the next one's
		if s.name == "connect.silence" {
			next, good = withSeq(hello, nextSeq), "connected"
		}
	default:
		m, err := readMessage(in)
		if err != nil {
			return "silent, closed"
		}
		answer = m.kind()
		if s.name == "call.pipelined" {
			if m, err = readMessage(in); err != nil || m.kind() != "ok" {
				return fmt.Sprintf("%s, then %v, %v", answer, m.kind(), err)
			}
		}
	}
	if _, err := nc.Write(next); err != nil {
		return answer + ", closed"
	}
	m, err := readMessage(in)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return answer + ", stuck"
	case err != nil:
		return answer + ", closed"
	case m.kind() != good:
		return fmt.Sprintf("%s, open, then a good request got %s: %q", answer, m.kind(), m.rest)
	case m.seq != nextSeq:
		return fmt.Sprintf("%s, open, out of step: sequence number %d", answer, m.seq)
	}
	return answer + ", open"
}

// nextSeq numbers the good request after a bad one, so that no answer to the bad one can
// be taken for its answer.
const nextSeq = 0x7A7A

// withSeq returns a copy of a message with another sequence number, the checksum of
// protocol 48 put right.
func withSeq(msg []byte, seq uint16) []byte {
	be := binary.BigEndian
	out := bytes.Clone(msg)
	old := be.Uint16(out[10:])
	be.PutUint16(out[10:], seq)
	if be.Uint16(out[4:]) == 48 {
		be.PutUint16(out[22:], be.Uint16(out[22:])-old+seq)
	}
	return out
}

// hear returns the kind of the reply on a connection after the last request.
func hear(in *bufio.Reader) string {
	answer := "silent"
	for {
		m, err := readMessage(in)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return answer + ", stuck"
			}
			return answer + ", closed"
		}
		answer = m.kind()
	}
}

// message is as much of a message as the comparison needs, read without the help of the
// code under test.
type message struct {
	typ   uint16
	flags uint16
	seq   uint16
	rest  []byte // annotations and payload
}

// kind sorts answers.
func (m message) kind() string {
	switch {
	case m.typ == 2:
		return "connected"
	case m.typ == 3:
		return "refused"
	case m.typ == 6:
		return "pong"
	case m.typ == 5 && m.flags&1 != 0:
		return "error"
	case m.typ == 5:
		return "ok"
	}
	return fmt.Sprintf("type %d", m.typ)
}

func parseMessage(b []byte) (message, error) { return readMessage(bytes.NewReader(b)) }

func readMessage(r io.Reader) (message, error) {
	head := make([]byte, 24)
	if _, err := io.ReadFull(r, head); err != nil {
		return message{}, err
	}
	if string(head[:4]) != "PYRO" {
		return message{}, fmt.Errorf("no message: %q", head)
	}
	be := binary.BigEndian
	m := message{flags: be.Uint16(head[8:]), seq: be.Uint16(head[10:])}
	n := uint64(be.Uint32(head[12:]))
	switch version := be.Uint16(head[4:]); version {
	case 48:
		m.typ = be.Uint16(head[6:])
		n += uint64(be.Uint16(head[18:]))
	case 502:
		m.typ = uint16(head[6])
		n += uint64(be.Uint32(head[16:])) + 16
	default:
		return message{}, fmt.Errorf("protocol version %d", version)
	}
	if n > 64<<20 {
		return message{}, fmt.Errorf("a message of %d bytes", n)
	}
	m.rest = make([]byte, n)
	_, err := io.ReadFull(r, m.rest)
	return m, err
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
