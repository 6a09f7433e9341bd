package analysis

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/service/egress/rule"
)

// EgressInfo describes one egress block: the requests that its objects may send.
type EgressInfo struct {
	Name   string        `json:"name"`
	Tenant object.Tenant `json:"tenant"`
	Reason string        `json:"reason"` // `policy.hcl:14 egress "stripe"`
	// Terms has one line for each rule, credential and limit, as `hosts: api.example.com`. Credentials are shown by
	// their place and the names of secrets.
	Terms []string `json:"terms"`
}

// EgressOf describes the egress blocks that an object may use.
func EgressOf(p *policy.Policy, id object.ID) []EgressInfo {
	var out []EgressInfo
	for _, b := range p.EgressOf(id) {
		out = append(out, EgressInfo{Name: b.Name, Tenant: b.Tenant, Reason: policy.EgressReason(b), Terms: terms(b)})
	}
	return out
}

// EgressChange is a difference between two policies in one egress block.
type EgressChange struct {
	Tenant object.Tenant `json:"tenant"`
	Name   string        `json:"egress"`
	Before []string      `json:"before"` // terms that only the first policy has; empty for a new block
	After  []string      `json:"after"`  // terms that only the second policy has
}

// DiffEgress returns the differences between the egress blocks of two policies.
func DiffEgress(before, after *policy.Policy) []EgressChange {
	find := func(p *policy.Policy, b *rule.Block) []string {
		for _, o := range p.Egress {
			if o.Tenant == b.Tenant && o.Name == b.Name {
				return terms(o)
			}
		}
		return nil
	}
	var out []EgressChange
	add := func(b *rule.Block, old, now []string) {
		c := EgressChange{Tenant: b.Tenant, Name: b.Name, Before: missing(old, now), After: missing(now, old)}
		if len(c.Before)+len(c.After) > 0 {
			out = append(out, c)
		}
	}
	for _, b := range before.Egress {
		add(b, terms(b), find(after, b))
	}
	for _, b := range after.Egress {
		if find(before, b) == nil {
			add(b, nil, terms(b))
		}
	}
	return out
}

// missing returns the elements of list that are not in other.
func missing(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// terms returns the rules of a block, one line each.
func terms(b *rule.Block) []string {
	var out []string
	add := func(name string, list ...string) {
		if len(list) > 0 {
			out = append(out, name+": "+strings.Join(list, " "))
		}
	}
	add("objects", texts(b.Objects, func(id object.ID) string { return string(id) })...)
	add("hosts", texts(b.Hosts, rule.Host.String)...)
	add("methods", b.Methods...)
	add("paths", b.Paths...)
	if b.Plain {
		add("plain", "http:// is permitted")
	}
	for _, p := range b.Private {
		add("private", p.String())
	}
	if b.Redirects > 0 {
		add("redirects", strconv.Itoa(b.Redirects))
	}
	add("credentials", credentials(b)...)
	if b.CA != "" {
		add("ca", b.CA)
	}
	for _, pin := range b.Pins {
		add("pin", "sha256/"+base64.StdEncoding.EncodeToString(pin[:]))
	}
	l := b.Limits.WithDefaults()
	rate := "no rate"
	if l.Rate != "" {
		rate = fmt.Sprintf("%s, %d at once", l.Rate, l.Burst)
	}
	add("limits", fmt.Sprintf("%s, %d at a time, request %s, response %s, timeout %s, headers %s", rate, l.Concurrent,
		bytesize.Format(int64(l.RequestBytes)), bytesize.Format(int64(l.ResponseBytes)), l.Timeout, l.HeaderTimeout))
	return out
}

func texts[T any](list []T, text func(T) string) []string {
	var out []string
	for _, e := range list {
		out = append(out, text(e))
	}
	return out
}

// credentials describes the credentials that a block adds, by the places of secrets.
func credentials(b *rule.Block) []string {
	var out []string
	for _, i := range b.Inject {
		if i.Header != "" {
			out = append(out, fmt.Sprintf("header %s = %q", i.Header, i.Value))
		} else {
			out = append(out, fmt.Sprintf("query %s = %q", i.Query, i.Value))
		}
	}
	if b.Basic != nil {
		out = append(out, fmt.Sprintf("basic %q", b.Basic.User.String()+":"+b.Basic.Password.String()))
	}
	if h := b.HMAC; h != nil {
		out = append(out, fmt.Sprintf("hmac-sha256 in %s by %q over %s", h.Header, h.Secret, strings.Join(h.Content,
			", ")))
	}
	if a := b.AWS; a != nil {
		out = append(out, fmt.Sprintf("aws-sigv4 of %s in %s by %q, %q", a.Service, a.Region, a.AccessKey, a.SecretKey))
	}
	if o := b.OAuth; o != nil {
		out = append(out, fmt.Sprintf("oauth2 token of %s by %q, %q", o.TokenURL, o.ClientID, o.ClientSecret))
	}
	if b.Cert != nil {
		out = append(out, "certificate "+b.Cert.Cert)
	}
	return out
}

// EgressProof is the result of a check that credentials of egress blocks stay in their tenant.
type EgressProof struct {
	Blocks    int `json:"blocks"`
	Decisions int `json:"decisions"` // object and block
	// Unreadable are the secrets that only the host uses: no object can read them, as "acme: stripe".
	Unreadable []string `json:"unreadable,omitempty"`
	// Counter are sentences about blocks that an object of another tenant can use, and about secrets that it can read.
	Counter []string `json:"counter_examples,omitempty"`
}

// ProveEgress checks that no object of another tenant can use or read a credential: for every block, every object of
// ids and every object that a block or a secret names, by the decision that a running host makes.
func ProveEgress(p *policy.Policy, ids []object.ID) EgressProof {
	all := slices.Clone(ids)
	for _, b := range p.Egress {
		all = append(all, b.Objects...)
	}
	for i := range p.Secrets {
		all = append(all, p.Secrets[i].Objects...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	out := EgressProof{Blocks: len(p.Egress)}
	for _, b := range p.Egress {
		for _, id := range all {
			out.Decisions++
			found, err := p.FindEgress(id, b.Name)
			if err == nil && found.Tenant != id.Tenant() {
				out.Counter = append(out.Counter, fmt.Sprintf("%s uses %s of tenant %s", id, policy.EgressReason(found),
					found.Tenant))
			}
		}
	}
	for i := range p.Secrets {
		s := &p.Secrets[i]
		for _, id := range s.Objects {
			if id.Tenant() != s.Tenant {
				out.Counter = append(out.Counter, fmt.Sprintf("%s reads secret %s of tenant %s", id, s.Name, s.Tenant))
			}
		}
		if len(s.Objects) == 0 {
			out.Unreadable = append(out.Unreadable, fmt.Sprintf("%s: %s", s.Tenant, s.Name))
		}
	}
	return out
}
