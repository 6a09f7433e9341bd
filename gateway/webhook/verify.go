// Package webhook verifies the signed requests of other services, and makes the arguments of the called method.
//
// A signature covers the raw bytes of the body. It is compared in constant time, before the body is interpreted. The
// package does not read requests and makes no calls: package web does.
//
// Source: doc/webhooks.md.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hearthhost/hearth/policy"
)

// Bounds of requests.
const (
	MaxIDBytes    = 128 // of an event
	maxSignatures = 16  // of a request
)

// Errors of requests. Clients get one answer for all.
var (
	errHeader    = errors.New("a header of the signature is missing, malformed, or there twice")
	errTime      = errors.New("the timestamp is outside of the tolerance")
	errSignature = errors.New("no signature matches")
	errID        = errors.New("the event has no id of 1 to 128 visible ASCII characters")
	errSecret    = errors.New("no secret of the webhook can be used: " +
		"its file is missing, or it is not the base64 of a signing key")
)

// Verify checks the signature of a request to a webhook, and returns the id of its event. secrets are the accepted
// secrets, as the service shows them. A request with several signatures needs one that matches. The error is for the
// log and never contains a part of the request.
func Verify(w *policy.Webhook, header http.Header, body []byte, secrets [][]byte, now time.Time) (string, error) {
	r, err := read(w, header, body)
	if err != nil {
		return "", err
	}
	if r.stamp != "" {
		if err := checkTime(r.stamp, w.Tolerance, now); err != nil {
			return "", err
		}
	}
	keys := keysOf(w.Scheme, secrets)
	switch {
	case len(keys) == 0:
		return "", errSecret
	case !matches(r.prefix, body, r.signatures, keys):
		return "", errSignature
	}
	id, err := eventID(w, header, body)
	if err != nil || !validID(id) {
		return "", errID
	}
	return id, nil
}

// request has the parts of a request that the signature is about.
type request struct {
	stamp      string // timestamp; "": the scheme has none
	prefix     string // signed text before the body
	signatures [][]byte
}

// read returns the parts of a request by the scheme of its webhook.
func read(w *policy.Webhook, header http.Header, body []byte) (r request, err error) {
	switch w.Scheme {
	case policy.SchemeStandard:
		id, err := one(header, "Webhook-Id")
		stamp, err2 := one(header, "Webhook-Timestamp")
		list, err3 := one(header, "Webhook-Signature")
		if err != nil || err2 != nil || err3 != nil {
			return r, errHeader
		}
		r = request{stamp, id + "." + stamp + ".", split(list, " ", "v1,", base64.StdEncoding.DecodeString)}
	case policy.SchemeStripe:
		list, err := one(header, "Stripe-Signature")
		stamp, ok := field(list, "t")
		if err != nil || !ok {
			return r, errHeader
		}
		r = request{stamp, stamp + ".", split(list, ",", "v1=", hex.DecodeString)}
	case policy.SchemeGitHub:
		signature, err := one(header, "X-Hub-Signature-256")
		if err != nil {
			return r, err
		}
		r.signatures = split(signature, ",", "sha256=", hex.DecodeString)
	case policy.SchemeHMAC:
		signature, err := one(header, w.Header)
		if err != nil {
			return r, err
		}
		decode := hex.DecodeString
		if signature = strings.TrimPrefix(signature, "sha256="); len(signature) != hex.EncodedLen(sha256.Size) {
			decode = base64.StdEncoding.DecodeString
		}
		r.signatures = split(signature, ",", "", decode)
	default:
		return r, errHeader
	}
	return r, nil
}

// eventID returns the id of a verified event. Stripe has it in the body. The headers of GitHub and of other schemes are
// not signed: with an id of a header, a recorded request could be sent again under another id.
func eventID(w *policy.Webhook, header http.Header, body []byte) (string, error) {
	switch {
	case w.Scheme == policy.SchemeStandard:
		return one(header, "Webhook-Id")
	case w.Scheme == policy.SchemeStripe:
		var event struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(body, &event); err != nil {
			return "", errID
		}
		return event.ID, nil
	case w.IDHeader != "":
		return one(header, w.IDHeader)
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), nil
}

// matches reports whether a signature is that of a key. All pairs are compared.
func matches(prefix string, body []byte, signatures, keys [][]byte) bool {
	found := false
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(prefix))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, got := range signatures {
			if hmac.Equal(want, got) {
				found = true
			}
		}
	}
	return found
}

// keysOf returns the keys of secrets. Those that are empty or malformed are omitted: every client has an empty key.
func keysOf(scheme string, secrets [][]byte) [][]byte {
	var keys [][]byte
	for _, key := range secrets {
		if scheme == policy.SchemeStandard { // "whsec_<base64>"
			var err error
			if key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(string(key), "whsec_")); err != nil {
				continue
			}
		}
		if len(key) > 0 {
			keys = append(keys, key)
		}
	}
	return keys
}

// checkTime checks a timestamp in seconds since 1970.
func checkTime(stamp string, tolerance time.Duration, now time.Time) error {
	n, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != stamp {
		return errHeader
	}
	if d := now.Sub(time.Unix(n, 0)); d > tolerance || d < -tolerance {
		return errTime
	}
	return nil
}

// one returns the value of a header that must occur once.
func one(header http.Header, name string) (string, error) {
	values := header.Values(name)
	if len(values) != 1 || values[0] == "" {
		return "", errHeader
	}
	return values[0], nil
}

// split returns the decoded signatures of a list that have a prefix. Other elements are of other versions.
func split(list, separator, prefix string, decode func(string) ([]byte, error)) (out [][]byte) {
	for e := range strings.SplitSeq(list, separator) {
		if s, ok := strings.CutPrefix(e, prefix); ok && len(out) < maxSignatures {
			if b, err := decode(s); err == nil && len(b) == sha256.Size {
				out = append(out, b)
			}
		}
	}
	return out
}

// field returns the value of name in "name=value,…". ok is false if it does not occur once.
func field(list, name string) (value string, ok bool) {
	for e := range strings.SplitSeq(list, ",") {
		if v, found := strings.CutPrefix(e, name+"="); found {
			if ok {
				return "", false
			}
			value, ok = v, true
		}
	}
	return value, ok
}

func validID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= MaxIDBytes
}
