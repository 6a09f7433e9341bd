package store

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// Limits bounds the state of an object and of its tenant. The zero value of a field is its default.
type Limits struct {
	ValueBytes  int   // of a value; default 1 MiB
	ObjectBytes int64 // of an object's keys and values; default 64 MiB
	TenantBytes int64 // of a tenant's keys and values; default 1 GiB
}

// Fixed limits.
const (
	MaxKeyBytes   = 512
	MaxWrites     = 10_000                     // writes of a batch
	MaxBatchBytes = 8 << 20                    // keys and values of a batch
	MaxPage       = 1000                       // items of a page
	MaxPageBytes  = 4 << 20                    // keys and values of a page, except that a page has at least one item
	MaxTTL        = 100 * 365 * 24 * time.Hour // of a key
	MaxVersion    = 1 << 52                    // of a key: numbers of Lua are exact up to 2^53
	MaxCallKey    = 128                        // bytes of an idempotency key
	MaxAnswers    = 10_000                     // answers that an object keeps
	MaxAnswer     = 64 << 10                   // bytes of a stored reply
	AnswerBytes   = 64                         // size of an answer in addition to its key and payload
	AnswerTTL     = 24 * time.Hour             // time for which an answer is kept
)

// WithDefaults returns the limits with defaults for zero fields.
func (l Limits) WithDefaults() Limits {
	if l.ValueBytes == 0 {
		l.ValueBytes = 1 << 20
	}
	if l.ObjectBytes == 0 {
		l.ObjectBytes = 64 << 20
	}
	if l.TenantBytes == 0 {
		l.TenantBytes = 1 << 30
	}
	return l
}

// CheckKey returns an error unless a text can be a key: 1 to [MaxKeyBytes] bytes of UTF-8 without U+0000.
func CheckKey(key string) error {
	switch {
	case key == "":
		return invalid("key is empty")
	case len(key) > MaxKeyBytes:
		return exceeded("key is %d bytes, at most %d", len(key), MaxKeyBytes)
	}
	return checkText("key", key)
}

// checkText returns an error unless a text is UTF-8 without U+0000.
func checkText(name, text string) error {
	switch {
	case !utf8.ValidString(text):
		return invalid("%s is not UTF-8", name)
	case strings.IndexByte(text, 0) >= 0:
		return invalid("%s contains U+0000", name)
	}
	return nil
}

// Check returns an error if the range is malformed.
func (r *Range) Check() error {
	for _, bound := range []struct{ name, text string }{
		{"prefix", r.Prefix},
		{"after", r.After},
		{"before", r.Before},
	} {
		if len(bound.text) > MaxKeyBytes {
			return exceeded("%s is %d bytes, at most %d", bound.name, len(bound.text), MaxKeyBytes)
		}
		if err := checkText(bound.name, bound.text); err != nil {
			return err
		}
	}
	if r.Limit < 1 || r.Limit > MaxPage {
		return invalid("limit is %d, must be 1 to %d", r.Limit, MaxPage)
	}
	return nil
}

// Bounds returns the keys of the range as an interval: from <= key < to.
func (r *Range) Bounds() (from, to string) {
	from, to = r.Prefix, "\xff" // no UTF-8 has this byte
	if r.Prefix != "" {
		last := len(r.Prefix) - 1
		to = r.Prefix[:last] + string([]byte{r.Prefix[last] + 1}) // the last byte of UTF-8 is at most 0xBF
	}
	if r.After != "" {
		from = max(from, r.After+"\x00") // the least key greater than After
	}
	if r.Before != "" {
		to = min(to, r.Before)
	}
	return from, to
}

// Check returns an error if the batch is malformed or exceeds a limit of one batch.
func (b *Batch) Check() error {
	lim := b.Limits.WithDefaults()
	if n := len(b.Writes) + len(b.Checks); n > MaxWrites {
		return exceeded("%d operations in one call, at most %d", n, MaxWrites)
	}
	size := 0
	for i := range b.Writes {
		w := &b.Writes[i]
		if err := w.check(lim); err != nil {
			return err
		}
		size += len(w.Key) + len(w.Value)
	}
	if size > MaxBatchBytes {
		return exceeded("the writes of one call are %d bytes, at most %d", size, MaxBatchBytes)
	}
	for _, c := range b.Checks {
		if err := CheckKey(c.Key); err != nil {
			return err
		}
	}
	if b.Answer != nil {
		return b.Answer.check()
	}
	return nil
}

func (w *Write) check(lim Limits) error {
	if err := CheckKey(w.Key); err != nil {
		return err
	}
	switch {
	case w.Op < Put || w.Op > Increment:
		return invalid("unknown operation %d", w.Op)
	case w.If < AnyVersion:
		return invalid("version %d is negative", w.If)
	case w.Op == Put && len(w.Value) > lim.ValueBytes:
		return exceeded("value of %s is %d bytes, at most %d (store_value)", Shown(w.Key), len(w.Value), lim.ValueBytes)
	}
	return CheckTTL(w.TTL)
}

// CheckQuota returns an error if an object or its tenant exceeds its quota after a batch that adds bytes.
func CheckQuota(lim Limits, objectBytes, tenantBytes, added int64) error {
	switch {
	case added <= 0: // deletes are always possible
		return nil
	case objectBytes > lim.ObjectBytes:
		return Full("object", "object_store", lim.ObjectBytes)
	case tenantBytes > lim.TenantBytes:
		return Full("tenant", "store", lim.TenantBytes)
	}
	return nil
}

// Room returns the bytes that an object can still store, at least 0.
func Room(lim Limits, objectBytes, tenantBytes int64) int64 {
	return max(0, min(lim.ObjectBytes-objectBytes, lim.TenantBytes-tenantBytes))
}

// Bytes returns the size of a stored answer.
func (a *Answer) Bytes() int64 {
	return int64(len(a.Call.Principal)+len(a.Call.Key)+len(a.Payload)) + AnswerBytes
}

// CheckTTL returns an error unless d can be the time to live of a key.
func CheckTTL(d time.Duration) error {
	if d < 0 || d > MaxTTL || d > 0 && d < time.Millisecond {
		return invalid("ttl is %v, must be 1 ms to 100 years", d)
	}
	return nil
}

func (a *Answer) check() error {
	if err := CheckCallKey(a.Call.Key); err != nil {
		return err
	}
	switch {
	case a.State < Begun || a.State > Dropped:
		return invalid("unknown state %d of an answer", a.State)
	case len(a.Payload) > MaxAnswer:
		return exceeded("the reply is %d bytes, at most %d are stored", len(a.Payload), MaxAnswer)
	}
	return nil
}

// CheckCallKey returns an error unless a text can be an idempotency key: 1 to [MaxCallKey] visible ASCII characters.
func CheckCallKey(key string) error {
	if key == "" || len(key) > MaxCallKey {
		return invalid("idempotency key has %d bytes, must have 1 to %d", len(key), MaxCallKey)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return invalid("idempotency key has the byte %#x; only visible ASCII characters are allowed", key[i])
		}
	}
	return nil
}

// Shown returns a key for a message: quoted and bounded.
func Shown(key string) string {
	const most = 60
	if len(key) > most {
		return fmt.Sprintf("%.*q…", most, key)
	}
	return fmt.Sprintf("%q", key)
}

func invalid(format string, args ...any) error {
	return object.Errorf(object.CodeInvalid, "store: "+format, args...)
}

func exceeded(format string, args ...any) error {
	return object.Errorf(object.CodeTooLarge, "store: "+format, args...)
}
