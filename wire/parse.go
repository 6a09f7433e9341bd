package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// DefaultMaxBytes is the default bound on the bytes of payload and annotations together.
const DefaultMaxBytes = 8 << 20

// Parser finds the messages in the bytes of one connection. It does no I/O: [Reader] calls it for a stream. The first
// message determines the protocol; a later message of another protocol is an error. Not safe for concurrent use.
type Parser struct {
	// Check is called once for each message, as soon as its header is complete. Only the header fields are filled.
	// Parse returns its error unchanged. nil is allowed.
	Check func(*Message) error

	// Limit returns a higher bound in bytes for a message above the parser's bound. It is for bounds that can change
	// while the caller waits. nil is allowed.
	Limit func() int

	// Reserve is called once for each message with its length in bytes, before Parse needs more than the header. It may
	// block. Parse returns its error unchanged; see [Parser.Rejected]. nil is allowed.
	Reserve func(n int) error

	max      int
	pinned   Protocol // protocol of the first message, 0 before it
	claimed  Protocol // protocol in the latest header, even a malformed one
	accepted bool     // the hooks have accepted the current message, which is incomplete
	rejected int64    // bytes of the rejected message
}

// SetMax changes the bound for later messages: payload and annotations of a message in bytes before inflation. 0 means
// [DefaultMaxBytes].
func (p *Parser) SetMax(max int) {
	if max <= 0 {
		max = DefaultMaxBytes
	}
	p.max = max
}

// Reset forgets the connection: the next message determines the protocol.
func (p *Parser) Reset() { p.pinned, p.claimed, p.accepted, p.rejected = 0, 0, false, 0 }

// Protocol returns the protocol that the received bytes claim, even in a malformed message; 0 if unknown. A rejection
// in that protocol is readable for the peer.
func (p *Parser) Protocol() Protocol {
	if p.pinned != 0 {
		return p.pinned
	}
	return p.claimed
}

// Rejected returns the length in bytes of the message that Parse has just rejected as too large, or because of an
// error of Reserve. It is 0 after other errors. The stream continues behind that many bytes.
func (p *Parser) Rejected() int64 { return p.rejected }

// Parse reads the message at the start of b into m, whose memory it reuses. The slices in m alias b. The payload is not
// inflated. b must start at the first byte of a message.
//
// size is the length of the message in bytes; the next message starts there. If b ends before the message does, size is
// 0 and need is a number of bytes above len(b) without which Parse cannot continue. Call it again with at least that
// many bytes, which start with those of b. Between these calls m is undefined.
//
// A malformed message is CodeInvalid. A message above the bound is CodeTooLarge as soon as its header is complete. Both
// have size 0, and only messages behind a rejected one can be read; see [Parser.Rejected]. One error is different: for
// a correlation id of a wrong size, size is set, m is complete and the next message can be read. It is CodeInvalid
// with ReasonValue.
//
// The result does not depend on how the bytes were divided among the calls.
//
// Source: doc/wire.md "Messages" and "Bad messages".
func (p *Parser) Parse(b []byte, m *Message) (size, need int, err error) {
	m.reset() // before the first byte too: m must not hold the memory of the last message while its caller waits
	p.rejected = 0
	h, need, err := p.header(b, m)
	if err != nil || need > 0 {
		return 0, need, err
	}
	if !p.accepted {
		if err := p.accept(h, m); err != nil {
			return 0, 0, err
		}
	}
	// accept has checked the bound: the lengths fit an int.
	middle := h.size + int(h.annotations)
	end := middle + int(h.payload)
	p.accepted = len(b) < end
	if p.accepted {
		return 0, end, nil
	}
	err = m.annotate(b[h.size:middle:middle])
	if err != nil && !readable(err) {
		return 0, 0, err
	}
	m.Payload = b[middle:end:end]
	p.pinned = m.Protocol
	return end, 0, err
}

// readable reports whether the next message can be read after an error of annotate.
func readable(err error) bool {
	var e *object.Error
	return errors.As(err, &e) && e.Reason == object.ReasonValue
}

// header reads the header at the start of b into m, or returns the number of bytes that it needs.
func (p *Parser) header(b []byte, m *Message) (h header, need int, err error) {
	if len(b) < prefixBytes {
		return h, prefixBytes, nil
	}
	version, err := p.version(b)
	switch {
	case err != nil:
		return h, 0, err
	case version == Pyro4 && len(b) < header4Bytes:
		return h, header4Bytes, nil
	case version == Pyro4:
		h, err = parse4(b, m)
	case len(b) < header5Bytes:
		return h, header5Bytes, nil
	default:
		h, err = parse5(b, m)
	}
	return h, 0, err
}

// accept checks the announced sizes and the type, and calls the hooks.
func (p *Parser) accept(h header, m *Message) error {
	if n := int64(h.annotations) + int64(h.payload); n > int64(p.max) {
		most := p.max
		if p.Limit != nil {
			most = max(most, p.Limit())
		}
		if n > int64(most) {
			p.rejected = int64(h.size) + n
			return tooLarge(m.Protocol, n, most)
		}
	}
	if m.Type < Connect || m.Type > Ping {
		return p.badType(m)
	}
	if p.Check != nil {
		if err := p.Check(m); err != nil {
			return err
		}
	}
	if p.Reserve != nil {
		n := h.size + int(h.annotations) + int(h.payload)
		if err := p.Reserve(n); err != nil {
			p.rejected = int64(n)
			return err
		}
	}
	return nil
}

// tooLarge returns the error for a message above the bound, in the text of its generation.
func tooLarge(p Protocol, n int64, most int) error {
	format := "message too large (%d, max=%d)"
	if p == Pyro4 {
		format = "max message size exceeded (%d where max=%d)"
	}
	return &object.Error{Code: object.CodeTooLarge, Reason: object.ReasonMessage, Msg: fmt.Sprintf(format, n, most)}
}

func (p *Parser) badType(m *Message) error {
	if m.Protocol == Pyro5 && p.pinned == 0 {
		return object.Errorf(object.CodeInvalid, "invalid msg type %d received (expected: 1)", m.Type)
	}
	return object.Errorf(object.CodeInvalid, "invalid msg type %d received", m.Type)
}

// version returns the generation in the first six bytes.
func (p *Parser) version(b []byte) (Protocol, error) {
	if string(b[:len(magic)]) != magic {
		if p.pinned == Pyro4 {
			return 0, object.Errorf(object.CodeInvalid, "invalid data or unsupported protocol version")
		}
		if p.pinned == 0 && isHTTP(b[:prefixBytes]) {
			return 0, ErrHTTP
		}
		return 0, object.Errorf(object.CodeInvalid, "invalid data")
	}
	number := binary.BigEndian.Uint16(b[4:])
	generation := Protocol(number)
	p.claimed = guessProtocol(number)
	known := generation == Pyro4 || generation == Pyro5
	switch {
	case known && (p.pinned == 0 || p.pinned == generation):
		return generation, nil
	case p.Protocol() == Pyro4:
		return 0, object.Errorf(object.CodeInvalid, "invalid data or unsupported protocol version")
	}
	return 0, object.Errorf(object.CodeInvalid, "invalid protocol version: %d", number)
}

// ErrHTTP is the error for a first message that is an HTTP request or response.
var ErrHTTP = object.Errorf(object.CodeInvalid, "invalid data: the other end speaks HTTP, not the Pyro protocol")

// isHTTP reports whether b is the start of an HTTP request or response.
func isHTTP(b []byte) bool {
	starts := []string{
		"GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE", "OPTION", "CONNEC", "TRACE ", "PRI * ", "HTTP/",
	}
	return slices.ContainsFunc(starts, func(s string) bool { return strings.HasPrefix(string(b), s) })
}
