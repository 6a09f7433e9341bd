package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/gateway/webhook"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// TestVectors verifies the published examples of Standard Webhooks and GitHub, and attacks on them.
func TestVectors(t *testing.T) {
	const body = `{"test": 2432232314}`
	secret := []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	const signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	hook := policy.Webhook{Scheme: policy.SchemeStandard, Tolerance: 5 * time.Minute}
	at := time.Unix(1614265330, 0)
	good := func() http.Header {
		return header("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp", "1614265330",
			"webhook-signature", "v1a,AAAA v1,AAAA "+signature)
	}
	old := []byte("whsec_AAAAAAAAAAAAAAAAAAAAAAAA")
	if id, err := webhook.Verify(&hook, good(), []byte(body), [][]byte{old, secret}, at); err != nil ||
		id != "msg_p5jXN8AQM9LWM0D4loKWxJek" {
		t.Errorf("%q, %v", id, err)
	}
	for name, change := range map[string]func(http.Header){
		"another id":     func(h http.Header) { h.Set("Webhook-Id", "x") },
		"another time":   func(h http.Header) { h.Set("Webhook-Timestamp", "1614265331") },
		"spelled time":   func(h http.Header) { h.Set("Webhook-Timestamp", "01614265330") },
		"two ids":        func(h http.Header) { h.Add("Webhook-Id", "x") },
		"no signature":   func(h http.Header) { h.Del("Webhook-Signature") },
		"two headers":    func(h http.Header) { h.Add("Webhook-Signature", signature) },
		"version":        func(h http.Header) { h.Set("Webhook-Signature", "v2"+signature[2:]) },
		"no version":     func(h http.Header) { h.Set("Webhook-Signature", signature[3:]) },
		"half signature": func(h http.Header) { h.Set("Webhook-Signature", "v1,g0hM9SsE+OTPJTGt/tmIKg==") },
	} {
		h := good()
		change(h)
		if id, err := webhook.Verify(&hook, h, []byte(body), [][]byte{secret}, at); err == nil {
			t.Errorf("%s: %q", name, id)
		}
	}
	for name, tt := range map[string]struct {
		body    string
		secrets [][]byte
		at      time.Time
	}{
		"a byte of the body": {`{"test": 2432232315}`, [][]byte{secret}, at},
		"white space":        {body + "\n", [][]byte{secret}, at},
		"another secret":     {body, [][]byte{old}, at},
		"no secret":          {body, nil, at},
		"empty secret":       {body, [][]byte{{}}, at},
		"late":               {body, [][]byte{secret}, at.Add(5*time.Minute + time.Second)},
		"early":              {body, [][]byte{secret}, at.Add(-5*time.Minute - time.Second)},
	} {
		if id, err := webhook.Verify(&hook, good(), []byte(tt.body), tt.secrets, tt.at); err == nil {
			t.Errorf("%s: %q", name, id)
		}
	}
	// No secret whose key is empty or malformed is accepted: a client can make signatures of both.
	for _, secret := range []string{"", "whsec_", "whsec_AAAA!", "%"} {
		for _, key := range []string{"", "\x00\x00\x00", secret} {
			mac := hmac.New(sha256.New, []byte(key))
			mac.Write([]byte("msg_1.1614265330." + body))
			h := header("webhook-id", "msg_1", "webhook-timestamp", "1614265330", "webhook-signature",
				"v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
			if id, err := webhook.Verify(&hook, h, []byte(body), [][]byte{[]byte(secret)}, at); err == nil {
				t.Errorf("secret %q, key %q: %q", secret, key, id)
			}
		}
	}
	gh := policy.Webhook{Scheme: policy.SchemeGitHub, IDHeader: "X-Github-Delivery"}
	h := header("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
		"X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
	published, _ := hex.DecodeString("4974277320612053656372657420746f204576657279626f6479")
	secrets := [][]byte{published}
	if id, err := webhook.Verify(&gh, h, []byte("Hello, World!"), secrets, at); err != nil ||
		id != "72d3162e-cc78-11e3-81ab-4c9367dc0958" {
		t.Errorf("GitHub: %q, %v", id, err)
	}
	stripe := policy.Webhook{Scheme: policy.SchemeStripe, Tolerance: time.Minute}
	mac := hmac.New(sha256.New, []byte("whsec_x"))
	mac.Write([]byte(`1614265330.{"id":"evt_1"}`))
	h = header("Stripe-Signature", "t=1614265330,v1=00,v1="+hex.EncodeToString(mac.Sum(nil))+",v0=00")
	secrets = [][]byte{[]byte("whsec_x")}
	if id, err := webhook.Verify(&stripe, h, []byte(`{"id":"evt_1"}`), secrets, at); err != nil || id != "evt_1" {
		t.Errorf("Stripe: %q, %v", id, err)
	}
	h.Set("Stripe-Signature", "t=1614265330,t=1,v1="+hex.EncodeToString(mac.Sum(nil)))
	if _, err := webhook.Verify(&stripe, h, []byte(`{"id":"evt_1"}`), [][]byte{[]byte("whsec_x")}, at); err == nil {
		t.Error("Stripe: two timestamps")
	}
}

// FuzzArguments makes the arguments of events. The worker's decoder reads each of them, and the body arrives unchanged.
func FuzzArguments(f *testing.F) {
	for _, body := range []string{"", "{}", `{"a": [1, null, "\u00e9<"]}`, `{"a": 1, "a": 2}`, "\xff", `"\ud800"`,
		strings.Repeat("[", 70), `{"data": "AA==", "encoding": "base64"}`} {
		f.Add([]byte(body), "application/json", "x\xff\"")
	}
	f.Fuzz(func(t *testing.T, body []byte, kind, value string) {
		doc, err := webhook.Arguments("pay", "evt", header("Content-Type", kind, "X-A", value, "Cookie", "c"), body)
		if err != nil {
			t.Fatal(err)
		}
		if len(doc) > webhook.ArgumentBytes(len(body))+6*len(kind+value) {
			t.Errorf("%d bytes for a body of %d", len(doc), len(body))
		}
		got := codec.Discard
		if err := web.Lookup(web.JSON).DecodeCall(object.Invoke, doc, codec.Limits{}, got); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
	})
}
