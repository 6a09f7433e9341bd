package audit

import (
	"encoding/hex"
	"time"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// Record is a decision or another security event.
type Record struct {
	Event     string // "call", "see" (an object's description) or "connect"
	Permit    bool
	Caller    *object.Caller
	Cache     *CallerCache  // of the caller's connection; nil if Caller is rendered for this record
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

// append appends the fields of the record after its time, as the inside of a JSON object.
func (r *Record) append(b []byte) []byte {
	b = appendField(b, "event", r.Event)
	if r.Permit {
		b = append(b, `,"decision":"permit"`...)
	} else {
		b = append(b, `,"decision":"deny"`...)
	}
	switch {
	case r.Caller == nil:
	case r.Cache != nil:
		b = r.Cache.append(b, r.Caller)
	default:
		b = appendCaller(b, r.Caller)
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
		from := i
		for i < len(s) && plain(s[i]) {
			i++
		}
		b = append(b, s[from:i]...)
		if i == len(s) {
			break
		}
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
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

// plain reports whether a byte of a text is written unchanged.
func plain(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

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
	micros := t.Nanosecond() / 1000
	b = appendPair(appendPair(b, year/100), year%100)
	b = appendPair(append(b, '-'), int(month))
	b = appendPair(append(b, '-'), day)
	b = appendPair(append(b, 'T'), hour)
	b = appendPair(append(b, ':'), minute)
	b = appendPair(append(b, ':'), second)
	b = appendPair(append(b, '.'), micros/10_000)
	b = appendPair(appendPair(b, micros/100%100), micros%100)
	return append(b, 'Z')
}

// appendPair appends the last two digits of a number.
func appendPair(b []byte, n int) []byte { return append(b, byte('0'+n/10%10), byte('0'+n%10)) }
