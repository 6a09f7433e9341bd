package web_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/host/hosttest"
)

const webhookRules = `
tenant "acme" {
  secret "pay"     { file = "%[1]s/pay" }
  secret "pay-old" { file = "%[1]s/pay-old" }
  secret "git"     { file = "%[1]s/git" }
}
webhook "pay" {
  call   = "acme.hook.on_event"
  verify = "standard"
  secret = ["pay", "pay-old"]
  body   = "64KiB"
}
webhook "cards" {
  call   = "acme.hook.on_event"
  verify = "stripe"
  secret = "pay-old"
}
webhook "git" {
  call   = "acme.inbox:main.on_event"
  verify = "github"
  secret = "git"
}
webhook "sums" {
  call      = "acme.hook.on_event"
  verify    = "hmac"
  secret    = "git"
  header    = "X-Sum"
  id_header = "X-Event"
}
webhook "unpermitted" {
  call   = "acme.hook.count"
  verify = "standard"
  secret = "pay"
}
webhook "fresh" {
  call   = "acme.fresh.on_event"
  verify = "github"
  secret = "git"
}
principal "owner" { host_user = true }
permit "owner" {
  principals = ["owner"]
  objects    = ["acme.*"]
}
permit "events" {
  principals = ["webhook:pay", "webhook:cards", "webhook:sums", "webhook:git", "webhook:fresh"]
  objects    = ["acme.hook", "acme.inbox:main", "acme.fresh"]
  methods    = ["on_event"]
  when       = caller.gateway == "webhook" && caller.auth == "webhook"
}
test "a webhook" {
  principal = "webhook:pay"
  call      = "acme.hook.on_event"
  want      = "permit"
}
`

var webhookScripts = map[string]string{
	"acme/hook.lua": `
local Hook = hearth.object { instance = "single" }
function Hook.expose:on_event(body, event)
  if event.headers["x-fail"] == "raise" then
    self.failures = (self.failures or 0) + 1
    hearth.store.increment("count")
    if self.failures == 1 then error(hearth.exception("ValueError", "not now")) end
  end
  local n = hearth.store.increment("count")
  if event.headers["x-silent"] then return nil end
  return { n = n, body = tostring(body), id = event.id, type = event.json and event.json.type,
    agent = event.headers["x-agent"],
    secret = event.headers.authorization, hook = event.webhook, key = hearth.caller().key,
    principal = hearth.caller().principal }
end
function Hook.expose:count() return (hearth.store.get("count")) or 0 end
return Hook`,
	"acme/inbox.lua": `
local Inbox = hearth.object { instance = "keyed" }
function Inbox.expose:on_event(body, event) return hearth.store.increment("count") end
return Inbox`,
	"acme/fresh.lua": `
local Fresh = hearth.object { instance = "call" }
function Fresh.expose:on_event() return 1 end
return Fresh`,
}

// Secrets of the webhooks. The keys of "standard" are base64 of the bytes that sign.
var (
	payKey = []byte("0123456789abcdef01234567")
	oldKey = []byte("zyxwvutsrqponmlkjihgfedc")
	gitKey = []byte("a secret of the repository")
)

func whsec(key []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(key) }

// secretFiles writes the secrets of the webhooks.
func secretFiles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, value := range map[string]string{
		"pay":     whsec(payKey),
		"pay-old": whsec(oldKey),
		"git":     string(gitKey),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// serveWebhooks starts a host with the webhooks. state is the folder of its state, "" for a new one.
func serveWebhooks(t *testing.T, secrets, state string) *fixture {
	t.Helper()
	text := "listener \"web\" {\nprotocol = \"http\"\naddress = \"127.0.0.1:0\"\n}\n"
	if state != "" {
		text += fmt.Sprintf("state = %q\n", state)
	}
	h, dir := hosttest.Make(t, webhookScripts, text+fmt.Sprintf(webhookRules, secrets))
	hosttest.Serve(t, h)
	return &fixture{host: h, dir: dir, url: "http://" + h.Addrs()[0]}
}

func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// standard returns the headers of a request of Standard Webhooks.
func standard(key []byte, id string, at time.Time, body string) []string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	return []string{
		"Webhook-Id", id,
		"Webhook-Timestamp", stamp,
		"Webhook-Signature", "v1," + base64.StdEncoding.EncodeToString(sign(key, id+"."+stamp+"."+body)),
	}
}

func (f *fixture) deliveries(t *testing.T) string {
	t.Helper()
	return f.do(t, "POST", "/v1/objects/acme.hook/count", "").body
}

// TestWebhook delivers events, and attacks the webhooks. None of the attacks calls the object.
func TestWebhook(t *testing.T) {
	secrets := secretFiles(t)
	f := serveWebhooks(t, secrets, "")
	now := time.Now()
	const body = `{"type": "paid", "n": 1}`
	post := func(t *testing.T, name, body string, headers ...string) answer {
		t.Helper()
		return f.do(t, "POST", "/v1/webhooks/"+name, body, headers...)
	}
	good := append(standard(payKey, "msg_1", now, body), "Authorization", "Bearer x", "X-Agent", "a")
	first := post(t, "pay", body, good...)
	for _, part := range []string{`"n": 1`, `"type": "paid"`, `"id": "msg_1"`, `"agent": "a"`, `"hook": "pay"`,
		`"key": "pay"`, `"principal": "webhook:pay"`, `\"n\": 1`} {
		if first.status != 200 || !strings.Contains(first.body, part) || strings.Contains(first.body, "Bearer") {
			t.Fatalf("%v lacks %s", first, part)
		}
	}

	t.Run("replay", func(t *testing.T) {
		retry := standard(payKey, "msg_1", now.Add(time.Second), body)
		for name, headers := range map[string][]string{"the same": good, "a retry": retry} {
			if a := post(t, "pay", body, headers...); a.status != 200 || a.body != first.body {
				t.Errorf("%s: %v", name, a)
			}
		}
		other := `{"type": "refunded"}`
		if a := post(t, "pay", other, standard(payKey, "msg_1", now, other)...); a.status != 400 {
			t.Errorf("another body with the same id: %v", a)
		}
	})

	t.Run("refused", func(t *testing.T) {
		change := func(name, value string) []string {
			out := standard(payKey, "msg_2", now, body)
			for i := 0; i < len(out); i += 2 {
				if out[i] == name {
					out[i+1] = value
				}
			}
			return out
		}
		without := func(name string) (out []string) {
			all := standard(payKey, "msg_2", now, body)
			for i := 0; i < len(all); i += 2 {
				if all[i] != name {
					out = append(out, all[i:i+2]...)
				}
			}
			return out
		}
		fine := standard(payKey, "msg_2", now, body)
		want := post(t, "none", body, fine...)
		if want.status != 401 || want.header.Get("WWW-Authenticate") == "" {
			t.Fatalf("an unknown webhook: %v", want)
		}
		for name, tt := range map[string]struct {
			hook, body string
			headers    []string
		}{
			"no headers":              {"pay", body, nil},
			"altered body":            {"pay", body + " ", fine},
			"another id":              {"pay", body, change("Webhook-Id", "msg_3")},
			"another key":             {"pay", body, standard(gitKey, "msg_2", now, body)},
			"empty key":               {"pay", body, standard(nil, "msg_2", now, body)},
			"secret of another hook":  {"cards", body, fine},
			"scheme of another hook":  {"git", body, fine},
			"old":                     {"pay", body, standard(payKey, "msg_2", now.Add(-6*time.Minute), body)},
			"future":                  {"pay", body, standard(payKey, "msg_2", now.Add(6*time.Minute), body)},
			"no id":                   {"pay", body, without("Webhook-Id")},
			"no timestamp":            {"pay", body, without("Webhook-Timestamp")},
			"no signature":            {"pay", body, without("Webhook-Signature")},
			"two ids":                 {"pay", body, append(without(""), "Webhook-Id", "msg_2")},
			"two signatures":          {"pay", body, append(without(""), "Webhook-Signature", "v1,AAAA")},
			"long id":                 {"pay", body, standard(payKey, strings.Repeat("a", 129), now, body)},
			"a bearer key":            {"pay", body, []string{"Authorization", "Bearer hk_x.a"}},
			"a name with a tenant":    {"acme.hook", body, fine},
			"capital letters of name": {"PAY", body, fine},
		} {
			got := post(t, tt.hook, tt.body, tt.headers...)
			got.header.Del("Date")
			want.header.Del("Date")
			if got.status != 401 || got.body != want.body || fmt.Sprint(got.header) != fmt.Sprint(want.header) {
				t.Errorf("%s: %v, want the answer for an unknown webhook %v", name, got, want)
			}
		}
		for name, want := range map[string]int{"GET": 405, "PUT": 405, "DELETE": 405} {
			for _, hook := range []string{"pay", "none"} {
				if a := f.do(t, name, "/v1/webhooks/"+hook, ""); a.status != want {
					t.Errorf("%s %s: %v", name, hook, a)
				}
			}
		}
		if a := f.do(t, "POST", "/v1/webhooks/pay?key=x", body, fine...); a.status != 400 {
			t.Errorf("a query: %v", a)
		}
		if a := post(t, "pay", body, append(fine, "Content-Encoding", "gzip")...); a.status != 415 {
			t.Errorf("a compressed body: %v", a)
		}
		// The greatest bound is that of the others, 1 MiB: who is not identified gets the same answer for all.
		for name, tt := range map[string]struct{ size, signed, unsigned int }{
			"beyond its bound":   {65 << 10, 413, 401},
			"beyond every bound": {1<<20 + 1, 413, 413},
		} {
			huge := strings.Repeat("a", tt.size)
			if a := post(t, "pay", huge, standard(payKey, "big", now, huge)...); a.status != tt.signed {
				t.Errorf("%s: %v", name, a)
			}
			for _, hook := range []string{"pay", "none"} {
				if a := post(t, hook, huge, fine...); a.status != tt.unsigned {
					t.Errorf("%s, with a wrong signature, %s: %v", name, hook, a)
				}
			}
		}
		if a := post(t, "unpermitted", body, fine...); a.status != 404 {
			t.Errorf("without a permit: %v", a)
		}
		if n := f.deliveries(t); n != "1" {
			t.Errorf("%s events are delivered, want 1", n)
		}
	})

	t.Run("schemes", func(t *testing.T) {
		stamp := strconv.FormatInt(now.Unix(), 10)
		event := `{"id": "evt_1", "type": "charge"}`
		stripe := func(key []byte) []string {
			return []string{"Stripe-Signature", "t=" + stamp + ",v1=" + hex.EncodeToString(sign(key, stamp+"."+event))}
		}
		if a := post(t, "cards", event, stripe([]byte(whsec(oldKey)))...); a.status != 200 ||
			!strings.Contains(a.body, `"evt_1"`) {
			t.Errorf("stripe: %v", a)
		}
		for name, key := range map[string][]byte{
			"the decoded secret":       oldKey,
			"the secret of another":    []byte(whsec(payKey)),
			"a secret of other scheme": gitKey,
		} {
			if a := post(t, "cards", event, stripe(key)...); a.status != 401 {
				t.Errorf("stripe, with %s: %v", name, a)
			}
		}
		github := []string{"X-Hub-Signature-256", "sha256=" + hex.EncodeToString(sign(gitKey, body))}
		for i, id := range []string{"1", "1", "2"} { // the id is not signed: another one does not help
			if a := post(t, "git", body, append(github, "X-GitHub-Delivery", id)...); a.status != 200 || a.body != "1" {
				t.Errorf("github, request %d: %v", i, a)
			}
		}
		for i, id := range []string{"a", "a", "b"} {
			sums := []string{"X-Sum", base64.StdEncoding.EncodeToString(sign(gitKey, body)), "X-Event", id}
			if a := post(t, "sums", body, sums...); a.status != 200 || !strings.Contains(a.body, `"id": "`+id+`"`) {
				t.Errorf("hmac, request %d: %v", i, a)
			}
		}
		if a := post(t, "sums", body, "X-Sum", hex.EncodeToString(sign(gitKey, body))); a.status != 401 {
			t.Errorf("hmac, without an id: %v", a)
		}
		if a := post(t, "fresh", body, github...); a.status != 400 || !strings.Contains(a.body, "one instance") {
			t.Errorf("an object that cannot store events: %v", a)
		}
	})

	t.Run("failure", func(t *testing.T) {
		before, _ := strconv.Atoi(f.deliveries(t))
		headers := append(standard(payKey, "msg_f", now, body), "X-Fail", "raise")
		if a := post(t, "pay", body, headers...); a.status != 500 ||
			!strings.HasPrefix(a.problem(t), "raised yes ValueError") {
			t.Errorf("the first delivery: %v", a)
		}
		if got := f.deliveries(t); got != strconv.Itoa(before) {
			t.Errorf("a failed call has stored its writes: %s, want %d", got, before)
		}
		for range 2 { // the second of these is a replay
			if a := post(t, "pay", body, headers...); a.status != 200 {
				t.Errorf("a retry: %v", a)
			}
		}
		if got := f.deliveries(t); got != strconv.Itoa(before+2) {
			t.Errorf("count %s, want %d", got, before+2)
		}
	})

	t.Run("at once", func(t *testing.T) {
		before, _ := strconv.Atoi(f.deliveries(t))
		headers := append(standard(payKey, "msg_c", now, body), "X-Silent", "1")
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				r, err := http.NewRequestWithContext(t.Context(), "POST", f.url+"/v1/webhooks/pay",
					bytes.NewReader([]byte(body)))
				if err != nil {
					t.Error(err)
					return
				}
				for i := 0; i < len(headers); i += 2 {
					r.Header.Set(headers[i], headers[i+1])
				}
				a, err := http.DefaultClient.Do(r)
				if err != nil || a.StatusCode != 204 {
					t.Errorf("%+v, %v", a, err)
				}
				if err == nil {
					a.Body.Close()
				}
			})
		}
		all.Wait()
		if got := f.deliveries(t); got != strconv.Itoa(before+1) {
			t.Errorf("count %s, want %d", got, before+1)
		}
	})

	t.Run("rotation", func(t *testing.T) {
		if a := post(t, "pay", body, standard(oldKey, "msg_r", now, body)...); a.status != 200 {
			t.Errorf("the second secret: %v", a)
		}
		if err := os.Remove(filepath.Join(secrets, "pay-old")); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); ; {
			a := post(t, "pay", body, standard(oldKey, "msg_r", now, body)...)
			if a.status == 401 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("a removed secret: %v", a)
			}
		}
		if a := post(t, "pay", body, standard(payKey, "msg_s", now, body)...); a.status != 200 {
			t.Errorf("the first secret: %v", a)
		}
		// The only secret of cards is gone: an attacker cannot sign with an empty one.
		event := `{"id": "evt_2"}`
		stamp := strconv.FormatInt(now.Unix(), 10)
		if a := post(t, "cards", event, "Stripe-Signature",
			"t="+stamp+",v1="+hex.EncodeToString(sign(nil, stamp+"."+event))); a.status != 401 {
			t.Errorf("without a secret: %v", a)
		}
	})

	text, err := os.ReadFile(filepath.Join(f.dir, "state", "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"webhook:pay"`, "webhook pay: no signature matches",
		"webhook pay: the timestamp is outside of the tolerance", "no webhook has the name of the path"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the audit log lacks %q", part)
		}
	}
	if strings.Contains(string(text), "paid") || strings.Contains(string(text), "whsec_") {
		t.Error("the audit log has parts of requests or secrets")
	}
}

// TestWebhookAfterRestart sends an event again to a host that has started again.
func TestWebhookAfterRestart(t *testing.T) {
	secrets, state := secretFiles(t), t.TempDir()
	const body = `{}`
	headers := standard(payKey, "msg_1", time.Now(), body)
	var first answer
	for i := range 2 {
		t.Run(fmt.Sprint("host ", i), func(t *testing.T) {
			f := serveWebhooks(t, secrets, state)
			a := f.do(t, "POST", "/v1/webhooks/pay", body, headers...)
			if i == 0 {
				first = a
			}
			if a.status != 200 || a.body != first.body || f.deliveries(t) != "1" {
				t.Errorf("%v, first %v, count %s", a, first, f.deliveries(t))
			}
		})
	}
}
