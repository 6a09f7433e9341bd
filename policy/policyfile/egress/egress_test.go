package egress_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/policy/analysis"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/policy/policytest"
	"github.com/hearthhost/hearth/service/egress/rule"
)

const head = `
listener "local" { address = "127.0.0.1:7766" }
principal "owner" { host_user = true }
tenant "rival" {
  secret "other" {
    file    = "secrets/rival"
    objects = ["rival.x"]
  }
}
`

// block returns a policy whose tenant acme has an egress block with more lines. Lines replace those of the same name.
func block(lines ...string) string {
	all := []string{
		`objects = ["acme.billing"]`, `hosts = ["api.example.com"]`, `methods = ["GET", "POST"]`, `paths = ["/v1/*"]`,
	}
	for _, l := range lines {
		name, _, _ := strings.Cut(l, " ")
		all = slices.DeleteFunc(all, func(have string) bool { return strings.HasPrefix(have, name+" ") })
	}
	return head + `
tenant "acme" {
  secret "key" { file = "secrets/key" }
  secret "readable" {
    file    = "secrets/readable"
    objects = ["acme.billing"]
  }
  egress "user" {
    objects = ["acme.other"]
    hosts   = ["other.example.com"]
    methods = ["GET"]
    paths   = ["/*"]
    inject {
      header = "X-Key"
      value  = "${secret.key}"
    }
  }
  egress "api" {
` + strings.Join(append(all, lines...), "\n") + "\n}\n}\n"
}

func TestRead(t *testing.T) {
	t.Parallel()
	p := policytest.Parse(t, block(
		`hosts = ["API.example.com", "*.example.org:8443"]`, `private = ["10.1.0.0/16"]`, `redirects = 3`,
		`ca = "ca.pem"`,
		`pin = ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]`,
		"inject {\n header = \"authorization\"\n value = \"Bearer ${secret.key}\"\n}",
		"inject {\n query = \"k\"\n value = \"${secret[\"readable\"]}\"\n}",
		"sign \"hmac-sha256\" {\n secret = \"key\"\n header = \"x-signature\"\n timestamp = \"x-time\"\n}",
		"certificate {\n cert = \"c.pem\"\n key = \"k.pem\"\n}",
		"limits {\n rate = \"20/s\"\n concurrent = 4\n request = \"1MiB\"\n response = \"2MiB\"\n timeout = \"5s\"\n}",
	))
	b := p.Egress[1]
	if b.Name != "api" || b.Tenant != "acme" || b.Hosts[0].Name != "api.example.com" || !b.Hosts[1].Suffix ||
		b.Hosts[1].Port != 8443 || b.CA != "/base/ca.pem" || b.Cert.Key != "/base/k.pem" || len(b.Pins) != 1 ||
		b.Redirects != 3 || b.Private[0].String() != "10.1.0.0/16" {
		t.Errorf("got %+v", b)
	}
	want := []rule.Inject{
		{Header: "Authorization", Value: rule.Template{{Text: "Bearer "}, {Secret: "key"}}},
		{Query: "k", Value: rule.Template{{Secret: "readable"}}},
	}
	if !reflect.DeepEqual(b.Inject, want) {
		t.Errorf("inject: %+v", b.Inject)
	}
	if b.HMAC.Header != "X-Signature" || strings.Join(b.HMAC.Content, "+") != "timestamp+body" {
		t.Errorf("sign: %+v", b.HMAC)
	}
	if l := b.Limits; l.Rate != "20/s" || l.Burst != 20 || l.Concurrent != 4 || l.ResponseBytes != 2<<20 {
		t.Errorf("limits: %+v", l)
	}
	if got := p.EgressUsing(&p.Secrets[1]); len(got) != 2 {
		t.Errorf("%d blocks use the secret", len(got))
	}
}

// TestErrors has blocks that do not load, and a part of the message, which has a position.
func TestErrors(t *testing.T) {
	t.Parallel()
	inject := func(text string) string { return "inject {\n" + text + "\n}" }
	for _, test := range []struct{ line, text string }{
		{`objects = ["rival.x"]`, "belongs to tenant"},
		{`objects = ["acme.*"]`, "not an object id"},
		{`objects = ["acmee.billing"]`, `unknown tenant "acmee"`},
		{`objects = []`, "empty"},
		{`hosts = ["*"]`, "hosts:"},
		{`hosts = ["2130706433"]`, "ends in a number"},
		{`hosts = ["https://api.example.com"]`, "hosts:"},
		{`methods = ["CONNECT"]`, "cannot be permitted"},
		{`methods = ["get"]`, "upper case"},
		{`paths = ["v1"]`, "does not begin with /"},
		{`paths = ["/v1/../x"]`, "segment"},
		{`private = ["169.254.0.0/16"]`, "never permitted"},
		{`private = ["0.0.0.0/0"]`, "private"},
		{`private = ["10.0.0.1"]`, "private"},
		{`redirects = 11`, "redirects"},
		{`pin = ["sha256/AAAA"]`, "pin"},
		{`pin = ["AAAA"]`, "pin"},
		{`proxy = "http://proxy"`, `no attribute "proxy"`},
		{`pyro = ["PYRO:x@y:1"]`, `no attribute "pyro"`},
		{inject(`header = "Host"` + "\n" + `value = "x"`), "set by the host"},
		{inject(`value = "x"`), "one of header and query"},
		{inject(`header = "X"` + "\n" + `query = "x"` + "\n" + `value = "x"`), "one of header and query"},
		{inject(`header = "X"`), "needs value"},
		{inject(`header = "X"` + "\n" + `value = "${secret.missing}"`), `no secret "missing"`},
		{inject(`header = "X"` + "\n" + `value = "${secret.other}"`), `no secret "other"`},
		{inject(`header = "X"` + "\n" + `value = "${env.HOME}"`), "only secrets"},
		{inject(`header = "X"` + "\n" + `value = "${upper(secret.key)}"`), "only secrets"},
		{inject(`header = "X"` + "\n" + `value = secret.key`), "must be a text"},
		{inject(`header = "X"` + "\n" + `value = "a\r\nb"`), "control byte"},
		{inject(`header = "X"` + "\n" + `value = ""`), "empty"},
		{inject(`header = "X-A"`+"\n"+`value = "x"`) + "\n" + inject(`header = "X_A"`+"\n"+`value = "x"`), "twice"},
		{"basic {\n user = \"a\"\n password = \"b\"\n}\n" + inject(`header = "Authorization"`+"\n"+`value = "x"`),
			"twice"},
		{"basic {\n user = \"a\"\n password = \"b\"\n}\nbasic {\n user = \"a\"\n password = \"b\"\n}",
			"two basic blocks"},
		{"basic {\n user = \"a\"\n password = \"b\"\n}\noauth2 {\n token_url = \"https://a.b/\"\n client_id = \"a\"\n" +
			"client_secret = \"b\"\n}", "Authorization twice"},
		{"oauth2 {\n token_url = \"http://a.b/\"\n client_id = \"a\"\nclient_secret = \"b\"\n}", "not encrypted"},
		{"sign \"md5\" {}", "scheme"},
		{"sign \"aws-sigv4\" {}", "needs region"},
		{"sign \"hmac-sha256\" {\n secret = \"key\"\n header = \"X\"\n content = [\"query\"]\n}", "not a part"},
		{"sign \"hmac-sha256\" {\n secret = \"key\"\n header = \"X\"\n content = [\"timestamp\"]\n}", "not sent"},
		{"sign \"hmac-sha256\" {\n secret = \"gone\"\n header = \"X\"\n}", `no secret "gone"`},
		{"limits {\n rate = \"20\"\n}", "not a rate"},
		{"limits {\n timeout = \"1h\"\n}", "timeout"},
		{"limits {\n burst = 3\n}", "needs a rate"},
		{"limits {\n concurrent = 1000\n}", "exceed"},
		{"limits {\n header_timeout = \"20s\"\n}", "longer than timeout"},
		{"plain = true\ncertificate {\n cert = \"c\"\n key = \"k\"\n}", "does not use"},
		{"certificate {\n cert = \"c\"\n key = \"secrets/key\"\n}", "is also secret"},
	} {
		_, err := policyfile.Parse("policy.hcl", []byte(block(test.line)), "/base", policytest.HostUID,
			policytest.Accounts)
		if err == nil || !strings.Contains(err.Error(), test.text) || !strings.HasPrefix(err.Error(), "policy.hcl:") {
			t.Errorf("%s: %v, want %q", test.line, err, test.text)
		}
	}
	twice := strings.Replace(block(), `egress "user"`, `egress "api"`, 1)
	for src, text := range map[string]string{
		head + "tenant \"acme\" {\n secret \"key\" { file = \"k\" }\n}": "a secret needs objects",
		twice: `already has an egress "api" at policy.hcl:`,
		head + "tenant \"acme\" {\n egress {}\n}": "must have one name",
	} {
		_, err := policyfile.Parse("policy.hcl", []byte(src), "/base", policytest.HostUID, policytest.Accounts)
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q", err, text)
		}
	}
}

// TestTests has test blocks about requests.
func TestTests(t *testing.T) {
	t.Parallel()
	test := func(request, want, more string) string {
		return block() + "test \"t\" {\n principal = \"object:acme.billing\"\n request = \"" + request +
			"\"\n want = \"" + want +
			"\"\n" + more + "\n}\n"
	}
	for _, c := range []struct{ src, text string }{
		{test("POST https://api.example.com/v1/charges", "permit", ""), ""},
		{test("POST https://api.example.com/v1/charges", "permit", `egress = "api"`), ""},
		{test("DELETE https://api.example.com/v1/charges", "deny", ""), ""},
		{test("GET https://evil.test/v1/charges", "deny", ""), ""},
		{test("GET https://api.example.com/v1/charges", "deny", `egress = "user"`), ""},
		{test("GET https://api.example.com/v1/charges", "deny", ""), `egress "api"`},
		{test("GET https://api.example.com/v2/charges", "permit", ""), "not in paths"},
		{test("https://api.example.com/v2/charges", "permit", ""), "not a request"},
		{test("GET https://api.example.com/v1/x", "permit", `channel = "tls"`), "does not depend"},
		{strings.Replace(test("GET https://api.example.com/v1/x", "deny", ""), "object:acme.billing", "owner", 1),
			"only objects"},
		{test("GET https://api.example.com/v1/x", "permit", `call = "acme.billing.x"`), "exclude each other"},
	} {
		_, err := policyfile.Parse("policy.hcl", []byte(c.src), "/base", policytest.HostUID, policytest.Accounts)
		if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s\ngot %v, want %q", c.src[len(block()):], err, c.text)
		}
	}
}

func TestAnalysis(t *testing.T) {
	t.Parallel()
	inject := "inject {\n header = \"Authorization\"\n value = \"Bearer ${secret.key}\"\n}"
	before, after := policytest.Parse(t, block()), policytest.Parse(t, block(inject, `methods = ["GET"]`))
	info := analysis.EgressOf(after, "acme.billing:alice")
	if len(info) != 1 || !slices.Contains(info[0].Terms, `credentials: header Authorization = "Bearer ${secret.key}"`) {
		t.Errorf("EgressOf: %+v", info)
	}
	got := analysis.DiffEgress(before, after)
	want := []analysis.EgressChange{{
		Tenant: "acme",
		Name:   "api",
		Before: []string{"methods: GET POST"},
		After:  []string{"methods: GET", `credentials: header Authorization = "Bearer ${secret.key}"`},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("DiffEgress: %+v", got)
	}
	if len(analysis.DiffEgress(after, after)) != 0 {
		t.Error("a policy differs from itself")
	}
	proof := analysis.ProveEgress(after, nil)
	if proof.Counter != nil || proof.Blocks != 2 || len(proof.Unreadable) != 1 || proof.Unreadable[0] != "acme: key" ||
		proof.Decisions != 6 {
		t.Errorf("ProveEgress: %+v", proof)
	}
	after.Egress[1].Tenant = "rival" // no file has this: the block of another tenant names acme.billing
	after.Egress[1].Objects = append(after.Egress[1].Objects, "rival.x")
	after.Secrets[1].Objects = append(after.Secrets[1].Objects, "rival.x")
	if proof := analysis.ProveEgress(after, nil); len(proof.Counter) != 1 {
		t.Errorf("ProveEgress of a broken policy: %+v", proof)
	}
}
