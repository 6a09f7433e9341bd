package audit

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// Record is a decision or another security event.
type Record struct {
	Event     string // "call", "see" (an object's description) or "connect"
	Permit    bool
	Caller    *object.Caller
	Object    object.ID     // requested id, cut to maxName bytes
	Method    object.Method // requested method, cut likewise; may be ""
	Reason    string        // rule, or the reason of a denial
	Call      [16]byte      // correlation id
	Exceeding string        // limit that was exceeded, if that is the reason of the denial
	Batch     *Batch        // calls of a permitted batch, instead of Method and Reason
	Count     int           // number of calls of a denied batch; 0 for a single call
	Item      int           // call of the batch that was denied, from 1; 0 means all
}

// maxName bounds the bytes of a name from the network.
const maxName = 255

// append appends the record as the inside of a JSON object, starting with `"time":`.
func (r *Record) append(b []byte, now time.Time) []byte {
	b = appendEvent(b, now, r.Event)
	if r.Permit {
		b = append(b, `,"decision":"permit"`...)
	} else {
		b = append(b, `,"decision":"deny"`...)
	}
	if c := r.Caller; c != nil {
		b = appendField(b, "principal", string(c.Principal))
		b = appendField(b, "auth", c.Peer.Auth)
		b = appendField(b, "channel", c.Peer.Channel)
		b = appendField(b, "peer", c.Peer.Addr)
		if c.Peer.Auth == object.AuthPeer {
			b = append(b, `,"uid":`...)
			b = strconv.AppendUint(b, uint64(c.Peer.UID), 10)
		}
		b = appendField(b, "key", c.Peer.Key)
		if c.Peer.Cert != nil {
			b = appendField(b, "cert", c.Peer.Cert.SHA256)
		}
	}
	b = appendField(b, "object", string(r.Object))
	if r.Batch != nil {
		b = r.Batch.append(b)
	} else {
		b = appendField(b, "method", string(r.Method))
		b = appendField(b, "reason", r.Reason)
	}
	b = appendField(b, "exceeding", r.Exceeding)
	if r.Count > 0 {
		b = appendNumber(b, "count", r.Count)
	}
	if r.Item > 0 {
		b = appendNumber(b, "item", r.Item)
	}
	if r.Call != ([16]byte{}) {
		b = append(b, `,"call":"`...)
		b = hex.AppendEncode(b, r.Call[:])
		b = append(b, '"')
	}
	return b
}

// appendEvent appends the start of every line: the time and the event.
func appendEvent(b []byte, now time.Time, event string) []byte {
	b = append(b, `"time":"`...)
	b = appendTime(b, now)
	b = append(b, '"')
	return appendField(b, "event", event)
}

// appendField appends a text field, unless it is empty. Texts are cut: reasons at four times the length of names.
func appendField(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, `":"`...)
	if len(s) > 4*maxName {
		s = s[:4*maxName]
	}
	return append(appendEscaped(b, s), '"')
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends s as the inside of a JSON text in ASCII. Invalid UTF-8 becomes U+FFFD.
func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c >= ' ' && c < 0x7f:
			b = append(b, c)
			i++
		case c < utf8.RuneSelf:
			b = append(b, `\u00`...)
			b = append(b, hexDigits[c>>4], hexDigits[c&15])
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			i += n
			if r > 0xffff {
				r -= 0x10000
				b = appendUnit(b, 0xd800+r>>10)
				r = 0xdc00 + r&0x3ff
			}
			b = appendUnit(b, r)
		}
	}
	return b
}

func appendUnit(b []byte, r rune) []byte {
	b = append(b, '\\', 'u')
	for shift := 12; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[r>>shift&15])
	}
	return b
}

// appendTime appends a time in UTC with microseconds, always of the same length. It is faster than time.AppendFormat,
// which parses a layout.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	digits := func(n, width int) {
		for div := pow10(width - 1); div > 0; div /= 10 {
			b = append(b, byte('0'+n/div%10))
		}
	}
	digits(year, 4)
	b = append(b, '-')
	digits(int(month), 2)
	b = append(b, '-')
	digits(day, 2)
	b = append(b, 'T')
	digits(hour, 2)
	b = append(b, ':')
	digits(minute, 2)
	b = append(b, ':')
	digits(second, 2)
	b = append(b, '.')
	digits(t.Nanosecond()/1000, 6)
	return append(b, 'Z')
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}
