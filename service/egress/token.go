package egress

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hearthhost/hearth/internal/redact"
	"github.com/hearthhost/hearth/service/egress/rule"
)

// Bounds of tokens of OAuth 2.
const (
	maxTokenBytes  = 16 << 10
	maxTokenLife   = time.Hour
	tokenMargin    = 10 * time.Second // a token is not used shortly before its end
	defaultExpires = 60 * time.Second // of a token without expires_in
	maxLast        = 8                // tokens that are replaced in responses: a server may return a former one
)

// tokens gets and keeps the token of a block. Safe for concurrent use; requests that need a token wait for one fetch.
type tokens struct {
	turn  chan struct{} // holds a token while nothing is being fetched
	mu    sync.Mutex    // guards the fields below
	value string
	until time.Time
	from  *secrets    // with which it was fetched
	last  []string    // the latest tokens, at most maxLast
	marks *redact.Set // of last
}

func newTokens() *tokens {
	t := &tokens{turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	return t
}

// get returns a valid token.
func (t *tokens) get(ctx context.Context, x *exchange) (string, error) {
	p, s := x.pool, x.secrets
	if v, ok := t.valid(p.client.now(), s); ok {
		return v, nil
	}
	select {
	case <-t.turn:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { t.turn <- struct{}{} }()
	if v, ok := t.valid(p.client.now(), s); ok { // another request has fetched it
		return v, nil
	}
	value, life, err := x.fetchToken(ctx)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value, t.until, t.from = value, p.client.now().Add(life), s
	t.markLocked(p.block.Name+" token", value)
	return value, nil
}

// markLocked adds a token to those that redact replaces.
func (t *tokens) markLocked(name, value string) {
	t.last = append(t.last, value)
	t.last = t.last[max(0, len(t.last)-maxLast):]
	t.marks = nil
	for _, v := range t.last {
		t.marks = t.marks.With(name, v)
	}
}

func (t *tokens) valid(now time.Time, s *secrets) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.value, t.value != "" && t.from == s && now.Before(t.until)
}

// drop forgets a token that the server has rejected, so that the next request fetches another one.
func (t *tokens) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value = ""
}

// redact replaces the latest tokens in a text.
func (t *tokens) redact(text string) string {
	t.mu.Lock()
	marks := t.marks
	t.mu.Unlock()
	return marks.Text(text)
}

// fetchToken requests a token of the authorization server. Errors have nothing of its response but the status.
//
// Source: RFC 6749, section 4.4.
func (x *exchange) fetchToken(ctx context.Context) (value string, life time.Duration, err error) {
	p, s, o := x.pool, x.secrets, x.block.OAuth
	t, err := rule.ParseURL(o.TokenURL)
	if err != nil {
		return "", 0, fmt.Errorf("token_url: %w", err)
	}
	if err := x.record(Event{Method: http.MethodPost, Target: t}); err != nil {
		return "", 0, err
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(o.Scopes) > 0 {
		form.Set("scope", strings.Join(o.Scopes, " "))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, err
	}
	req.SetBasicAuth(url.QueryEscape(s.expand(o.ClientID)), url.QueryEscape(s.expand(o.ClientSecret)))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	resp, err := p.tokenTransport.RoundTrip(req)
	if err != nil {
		return "", 0, fmt.Errorf("token_url: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("token_url: the server of tokens answered with status %d", resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenBytes))
	if err != nil {
		return "", 0, fmt.Errorf("token_url: the response was not read in full")
	}
	var token struct {
		AccessToken string  `json:"access_token"`
		TokenType   string  `json:"token_type"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if json.Unmarshal(b, &token) != nil || token.AccessToken == "" {
		return "", 0, fmt.Errorf("token_url: the response has no access_token, or more than %d bytes", maxTokenBytes)
	}
	if !strings.EqualFold(token.TokenType, "bearer") {
		return "", 0, fmt.Errorf("token_url: the token is not of type Bearer")
	}
	life = defaultExpires
	if token.ExpiresIn > 0 {
		life = time.Duration(min(token.ExpiresIn, maxTokenLife.Seconds()) * float64(time.Second))
	}
	return token.AccessToken, max(life-tokenMargin, 0), nil
}
