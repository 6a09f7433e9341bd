package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/object"
)

// reference renders a record field by field and character by character. The format of the log does not change, so the
// faster code must return the same bytes.
func reference(r *Record, now time.Time) []byte {
	b := []byte(`"time":"` + now.UTC().Format("2006-01-02T15:04:05.000000Z") + `"`)
	text := func(name, s string) {
		if s == "" {
			return
		}
		b = append(b, `,"`+name+`":"`+referenceText(s[:min(len(s), 1020)])+`"`...)
	}
	number := func(name string, n int) { b = append(b, `,"`+name+`":`+strconv.Itoa(n)...) }
	text("event", r.Event)
	text("decision", map[bool]string{true: "permit", false: "deny"}[r.Permit])
	if c := r.Caller; c != nil {
		text("principal", string(c.Principal))
		text("auth", c.Peer.Auth)
		text("channel", c.Peer.Channel)
		text("peer", c.Peer.Addr)
		if c.Peer.Auth == "peer" {
			number("uid", int(c.Peer.UID))
		}
		text("key", c.Peer.Key)
		if c.Peer.Cert != nil {
			text("cert", c.Peer.Cert.SHA256)
		}
	}
	text("object", string(r.Object))
	if r.Batch != nil {
		b = r.Batch.append(b)
	} else {
		text("method", string(r.Method))
		text("reason", r.Reason)
	}
	text("exceeding", r.Exceeding)
	if r.Count > 0 {
		number("count", r.Count)
	}
	if r.Item > 0 {
		number("item", r.Item)
	}
	if r.Call != ([16]byte{}) {
		text("call", hex.EncodeToString(r.Call[:]))
	}
	return append(b, '\n')
}

func referenceText(s string) string {
	var b []byte
	unit := func(u rune) {
		digits := "000" + strconv.FormatInt(int64(u), 16)
		b = append(b, `\u`+digits[len(digits)-4:]...)
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= ' ' && r < 0x7f:
			b = append(b, byte(r))
		case r > 0xffff:
			unit(0xd800 + (r-0x10000)>>10)
			unit(0xdc00 + (r-0x10000)&0x3ff)
		default:
			unit(r)
		}
	}
	return string(b)
}

var someText = rapid.OneOf(
	rapid.SampledFrom([]string{"", "alice", "acme.counter", `policy.hcl:9 permit "alice"`, "127.0.0.1:5000"}),
	rapid.String(),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 3000), func(b []byte) string { return string(b) }),
)

var someCaller = rapid.Custom(func(t *rapid.T) *object.Caller {
	c := &object.Caller{
		Principal: object.Principal(someText.Draw(t, "principal")),
		Peer: object.Peer{
			Auth:    rapid.SampledFrom(append([]string{""}, object.AuthMethods...)).Draw(t, "auth"),
			UID:     rapid.Uint32().Draw(t, "uid"),
			Key:     someText.Draw(t, "key"),
			Channel: someText.Draw(t, "channel"),
			Addr:    someText.Draw(t, "addr"),
		},
	}
	if rapid.Bool().Draw(t, "with a certificate") {
		c.Peer.Cert = &object.Certificate{SHA256: someText.Draw(t, "sha256")}
	}
	return c
})

var someRecord = rapid.Custom(func(t *rapid.T) *Record {
	r := &Record{
		Event:     rapid.SampledFrom([]string{"call", "see", "connect"}).Draw(t, "event"),
		Permit:    rapid.Bool().Draw(t, "permit"),
		Object:    object.ID(someText.Draw(t, "object")),
		Method:    object.Method(someText.Draw(t, "method")),
		Reason:    someText.Draw(t, "reason"),
		Exceeding: someText.Draw(t, "exceeding"),
		Count:     rapid.IntRange(0, 100).Draw(t, "count"),
		Item:      rapid.IntRange(0, 100).Draw(t, "item"),
		Call:      [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "call")),
	}
	if rapid.IntRange(0, 5).Draw(t, "a zero id") == 0 {
		r.Call = [16]byte{}
	}
	if rapid.IntRange(0, 5).Draw(t, "a batch") == 0 {
		methods := rapid.SliceOfN(rapid.SampledFrom([]object.Method{"a", "b", "é"}), 1, 9).Draw(t, "methods")
		r.Batch, _ = NewBatch(methods)
		for i := range r.Batch.Items {
			r.Batch.Items[i].Reason = someText.Draw(t, "item reason")
		}
	}
	return r
})

// TestRendering: records have the same bytes as by the reference, with a cached caller and without.
func TestRendering(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var cache CallerCache // of several callers, which a connection does not have
		callers := rapid.SliceOfN(someCaller, 1, 3).Draw(t, "callers")
		for _, r := range rapid.SliceOfN(someRecord, 1, 10).Draw(t, "records") {
			r.Caller = rapid.SampledFrom(append(callers, nil)).Draw(t, "caller")
			now := time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "second"),
				rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond"))
			want := string(reference(r, now))
			for _, r.Cache = range []*CallerCache{nil, &cache} {
				round := Round{start: append(appendTime([]byte(`"time":"`), now), '"')}
				round.addLine(r)
				if got := string(round.lines); got != want {
					t.Fatalf("cache %v\n got %q\nwant %q", r.Cache != nil, got, want)
				}
			}
		}
	})
}

// TestLink: the hash of a line of any length is SHA-256 over the previous hash and the line.
func TestLink(t *testing.T) {
	var prev [sha256.Size]byte
	for n := range 3000 {
		line := make([]byte, n)
		for i := range line {
			line[i] = byte(i * n)
		}
		h := sha256.New()
		h.Write(prev[:])
		h.Write(line)
		want := [sha256.Size]byte(h.Sum(nil))
		got := trail.Link(prev, line)
		if got != want {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
		prev = got
	}
}
