package issuer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// Bounds of the parts of a token.
const (
	maxKeyIDBytes = 256
	maxDepth      = 16 // of arrays and objects in its JSON
)

// types are the accepted values of the header's typ, in lower case. Other kinds of signed documents of an issuer, such
// as logout tokens, are not proofs.
var types = []string{"", "jwt", "at+jwt", "application/at+jwt"}

// header is the part of a token's header that is used.
type header struct {
	algorithm string
	keyID     string
}

// claims are the claims of a token.
type claims struct {
	issuer    string
	expires   time.Time
	notBefore time.Time // zero: not given
	issuedAt  time.Time // zero: not given
	values    map[string]object.Claim
}

// registered are the claims that have a meaning here. encoding/json matches names without regard to case, so another
// spelling of one of them is rejected.
var registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat"}

// parse checks the form of a token and returns its claims, which are not verified.
func parse(token string) (*claims, error) {
	if _, err := parseHeader(token); err != nil {
		return nil, err
	}
	payload, err := part(token, 1)
	if err != nil {
		return nil, err
	}
	return parseClaims(payload)
}

// part returns a decoded part of a token: 0 is the header, 1 the payload.
func part(token string, n int) ([]byte, error) {
	if len(token) > MaxTokenBytes {
		return nil, fmt.Errorf("the token is larger than %d bytes", MaxTokenBytes)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[2] == "" {
		return nil, errors.New("the token is not a signed JWT")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(parts[n])
	if err != nil || !utf8.Valid(b) {
		return nil, errors.New("a part of the token is not base64url of a text in UTF-8")
	}
	return b, nil
}

// parseHeader returns the header of a token.
func parseHeader(token string) (h header, err error) {
	text, err := part(token, 0)
	if err != nil {
		return h, err
	}
	fields, err := parseObject(text)
	if err != nil {
		return h, fmt.Errorf("header of the token: %w", err)
	}
	if _, ok := fields["crit"]; ok {
		return h, errors.New("header of the token: extensions (crit) are not supported")
	}
	for name, to := range map[string]*string{"alg": &h.algorithm, "kid": &h.keyID} {
		if v, ok := fields[name]; ok {
			if *to, ok = v.(string); !ok || len(*to) > maxKeyIDBytes {
				return h, fmt.Errorf("header of the token: %s is not a text of at most %d bytes", name, maxKeyIDBytes)
			}
		}
	}
	if !slices.Contains(algorithms, h.algorithm) {
		return h, fmt.Errorf("header of the token: algorithm %.32q is not one of %s", h.algorithm,
			strings.Join(algorithms, ", "))
	}
	typ, _ := fields["typ"].(string)
	if v, ok := fields["typ"]; ok && v != any(typ) || !slices.Contains(types, strings.ToLower(typ)) {
		return h, fmt.Errorf("header of the token: type %.32q is not that of an ID or access token", typ)
	}
	return h, nil
}

// parseClaims returns the claims of a payload.
func parseClaims(payload []byte) (*claims, error) {
	fields, err := parseObject(payload)
	if err != nil {
		return nil, fmt.Errorf("claims of the token: %w", err)
	}
	c := &claims{values: map[string]object.Claim{}}
	for name, v := range fields {
		for _, known := range registered {
			if name != known && strings.EqualFold(name, known) {
				return nil, fmt.Errorf("claims of the token: %.32q is not %q", name, known)
			}
		}
		if value, ok := claimOf(v); ok {
			c.values[name] = value
		}
	}
	var ok bool
	if c.issuer, ok = fields["iss"].(string); !ok || c.issuer == "" {
		return nil, errors.New("claims of the token: iss is missing")
	}
	if aud, ok := c.values["aud"]; !ok || slices.Contains(aud.All(), "") {
		return nil, errors.New("claims of the token: aud is missing")
	}
	for name, to := range map[string]*time.Time{"exp": &c.expires, "nbf": &c.notBefore, "iat": &c.issuedAt} {
		v, given := fields[name]
		if !given && name != "exp" {
			continue
		}
		if *to, ok = moment(v); !ok {
			return nil, fmt.Errorf("claims of the token: %s is not a point in time", name)
		}
	}
	return c, nil
}

// checkTimes checks that a token is valid at a time.
func (c *claims) checkTimes(now time.Time) error {
	switch {
	case !now.Before(c.expires.Add(Leeway)):
		return errors.New("the token has expired")
	case now.Add(Leeway).Before(c.notBefore), now.Add(Leeway).Before(c.issuedAt):
		return errors.New("the token is not valid yet")
	}
	return nil
}

// moment returns a point in time: seconds since 1970.
func moment(v any) (time.Time, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > math.MaxInt32*16 {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}

// claimOf returns the value of a claim. ok is false for values that conditions cannot read.
func claimOf(v any) (object.Claim, bool) {
	switch v := v.(type) {
	case string:
		return object.Claim{Text: v}, true
	case json.Number:
		return object.Claim{Text: v.String()}, true
	case bool:
		return object.Claim{Text: fmt.Sprint(v)}, true
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return object.Claim{}, false
			}
			list = append(list, s)
		}
		return object.Claim{List: list}, true
	}
	return object.Claim{}, false
}

// parseObject parses a JSON object. Numbers are of type json.Number. An object with a name twice is an error: two
// readers could see two values.
func parseObject(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text follows the JSON object")
	}
	return fields, nil
}

// parseValue parses the next value of a JSON text.
func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, errors.New("malformed JSON")
	}
	open, nested := t.(json.Delim)
	if !nested {
		return t, nil
	}
	if depth++; depth > maxDepth {
		return nil, fmt.Errorf("JSON is nested more than %d deep", maxDepth)
	}
	fields, list := map[string]any{}, []any{}
	for d.More() {
		if open == '[' {
			v, err := parseValue(d, depth)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
			continue
		}
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, errors.New("malformed JSON")
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("%.32q is there twice", name)
		}
		if fields[name], err = parseValue(d, depth); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("malformed JSON")
	}
	if open == '[' {
		return list, nil
	}
	return fields, nil
}
