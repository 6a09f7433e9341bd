package egress

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hearthhost/hearth/internal/redact"
	"github.com/hearthhost/hearth/service/egress/rule"
	"github.com/hearthhost/hearth/service/egress/sign"
)

// secrets has the values of a block's secrets for one request, and the set of texts to redact.
type secrets struct {
	values map[string]string
	marks  *redact.Set
}

// secretCache keeps the last secrets of a block. They seldom change, and a set costs more than a request's checks.
type secretCache struct {
	mu   sync.Mutex
	last *secrets
}

// load returns the current secrets of a block. The error names one that has no value.
func (c *secretCache) load(b *rule.Block, value func(name string) (string, bool)) (*secrets, error) {
	names := b.Secrets()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := make(map[string]string, len(names))
	same := c.last != nil
	for _, name := range names {
		v, ok := value(name)
		if v = redact.Core(v); !ok || v == "" {
			return nil, fmt.Errorf("secret %q has no value; run hearth secret set %s", name, name)
		}
		now[name] = v
		same = same && c.last.values[name] == v
	}
	if same {
		return c.last, nil
	}
	s := &secrets{values: now}
	if c.last != nil {
		s.marks = c.last.marks // servers may return a former value
	}
	for _, name := range names {
		for _, form := range forms(now[name]) {
			s.marks = s.marks.With(name, form)
		}
	}
	if b.Basic != nil {
		s.marks = s.marks.With(firstSecret(b.Basic.Password, b.Name), s.basic(b.Basic))
	}
	c.last = s
	return s, nil
}

// forms returns a value and its usual encodings.
func forms(v string) []string {
	return []string{
		v, url.QueryEscape(v), url.PathEscape(v), hex.EncodeToString([]byte(v)),
		base64.StdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)),
	}
}

// firstSecret returns the name of a template's first secret, or another name.
func firstSecret(t rule.Template, other string) string {
	if i := slices.IndexFunc(t, func(p rule.Part) bool { return p.Secret != "" }); i >= 0 {
		return t[i].Secret
	}
	return other
}

func (s *secrets) expand(t rule.Template) string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.Text)
		if p.Secret != "" {
			b.WriteString(s.values[p.Secret])
		}
	}
	return b.String()
}

// basic returns the credentials of HTTP basic authentication.
func (s *secrets) basic(b *rule.Basic) string {
	return base64.StdEncoding.EncodeToString([]byte(s.expand(b.User) + ":" + s.expand(b.Password)))
}

// inject adds the block's credentials to a request. Signatures cover the other headers, so they come last.
func (x *exchange) inject(ctx context.Context, req *http.Request, t *rule.Target, body []byte) error {
	b, p, s := x.block, x.pool, x.secrets
	for _, i := range b.Inject {
		v := s.expand(i.Value)
		if i.Query != "" {
			pair := url.QueryEscape(i.Query) + "=" + url.QueryEscape(v)
			if req.URL.RawQuery != "" {
				pair = "&" + pair
			}
			req.URL.RawQuery += pair
			continue
		}
		if err := setHeader(req, i.Header, v); err != nil {
			return err
		}
	}
	if b.Basic != nil {
		req.Header.Set("Authorization", "Basic "+s.basic(b.Basic))
	}
	if b.OAuth != nil {
		token, err := p.token.get(ctx, x)
		if err != nil {
			return err
		}
		if err := setHeader(req, "Authorization", "Bearer "+token); err != nil {
			return err
		}
	}
	if b.HMAC != nil {
		return p.signHMAC(s, req, body)
	}
	if b.AWS != nil {
		return p.signAWS(s, req, t, body)
	}
	return nil
}

// setHeader sets an injected header. The error does not have the value.
func setHeader(req *http.Request, name, value string) error {
	if strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0 {
		return fmt.Errorf("the injected header %s has a line break or another control byte", name)
	}
	req.Header.Set(name, value)
	return nil
}

func (p *pool) signHMAC(s *secrets, req *http.Request, body []byte) error {
	h := p.block.HMAC
	at := strconv.FormatInt(p.client.now().Unix(), 10)
	if h.Timestamp != "" {
		req.Header.Set(h.Timestamp, at)
	}
	parts := make([]string, 0, len(h.Content))
	for _, part := range h.Content {
		switch part {
		case "timestamp":
			parts = append(parts, at)
		case "method":
			parts = append(parts, req.Method)
		case "path":
			parts = append(parts, req.URL.RequestURI())
		case "body":
			parts = append(parts, string(body))
		}
	}
	m := hmac.New(sha256.New, []byte(s.expand(h.Secret)))
	m.Write([]byte(strings.Join(parts, h.Separator)))
	encode := hex.EncodeToString
	if h.Base64 {
		encode = base64.StdEncoding.EncodeToString
	}
	return setHeader(req, h.Header, h.Prefix+encode(m.Sum(nil)))
}

func (p *pool) signAWS(s *secrets, req *http.Request, t *rule.Target, body []byte) error {
	a := p.block.AWS
	at := p.client.now().UTC().Truncate(time.Second)
	sum := sign.Sum(body)
	req.Header.Set("X-Amz-Date", sign.AWSTime(at))
	req.Header.Set("X-Amz-Content-Sha256", sum)
	header := [][2]string{{"host", t.Authority()}, {"x-amz-date", sign.AWSTime(at)}, {"x-amz-content-sha256", sum}}
	if len(a.SessionToken) > 0 {
		token := s.expand(a.SessionToken)
		if err := setHeader(req, "X-Amz-Security-Token", token); err != nil {
			return err
		}
		header = append(header, [2]string{"x-amz-security-token", token})
	}
	if kind := req.Header.Get("Content-Type"); kind != "" {
		header = append(header, [2]string{"content-type", kind})
	}
	key := sign.AWS{
		AccessKey: s.expand(a.AccessKey),
		SecretKey: s.expand(a.SecretKey),
		Region:    a.Region,
		Service:   a.Service,
	}
	return setHeader(req, "Authorization", key.Authorization(&sign.Request{
		Method:  req.Method,
		Path:    req.URL.EscapedPath(),
		Query:   req.URL.RawQuery,
		Header:  header,
		BodySum: sum,
	}, at))
}
