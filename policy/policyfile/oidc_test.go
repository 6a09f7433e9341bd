package policyfile_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
)

const oidcPrincipals = `
principal "ci" {
  bearer = ["keys/ci.bearer"]
  oidc {
    issuer   = "https://ci.example"
    audience = "https://hearth.example"
    claims   = { sub = "repo:acme/app", ref = ["main", "release"] }
  }
}
principal "staff" {
  oidc {
    issuer   = "https://login.example/realm"
    audience = "hearth"
    claims   = { groups = "staff", email_verified = true, level = 3 }
  }
}
principal "boss" {
  oidc {
    issuer   = "https://login.example/realm"
    audience = "hearth"
    claims   = { sub = "boss" }
  }
}
`

// TestTokenRules checks which verified claims prove which principal.
func TestTokenRules(t *testing.T) {
	p := mustParse(t, head+oidcPrincipals)
	if len(p.BearerKeys) != 1 || p.BearerKeys[0].Path != "/base/keys/ci.bearer" || p.BearerKeys[0].Principal != "ci" {
		t.Errorf("bearer keys %+v", p.BearerKeys)
	}
	text := func(s string) object.Claim { return object.Claim{Text: s} }
	list := func(s ...string) object.Claim { return object.Claim{List: s} }
	const ci, login = "https://ci.example", "https://login.example/realm"
	for name, tt := range map[string]struct {
		issuer string
		claims map[string]object.Claim
		want   object.Principal
	}{
		"ci": {ci, map[string]object.Claim{"aud": text("https://hearth.example"), "sub": text("repo:acme/app"),
			"ref": text("main")}, "ci"},
		"one of two audiences": {ci, map[string]object.Claim{"aud": list("x", "https://hearth.example"),
			"sub": text("repo:acme/app"), "ref": text("release")}, "ci"},
		"another audience": {ci, map[string]object.Claim{"aud": text("x"), "sub": text("repo:acme/app"),
			"ref": text("main")}, object.Anonymous},
		"no audience": {ci, map[string]object.Claim{"sub": text("repo:acme/app"), "ref": text("main")},
			object.Anonymous},
		"another issuer": {login, map[string]object.Claim{"aud": text("https://hearth.example"),
			"sub": text("repo:acme/app"), "ref": text("main")}, object.Anonymous},
		"another ref": {ci, map[string]object.Claim{"aud": text("https://hearth.example"),
			"sub": text("repo:acme/app"), "ref": text("dev")}, object.Anonymous},
		"longer subject": {ci, map[string]object.Claim{"aud": text("https://hearth.example"),
			"sub": text("repo:acme/app2"), "ref": text("main")}, object.Anonymous},
		"a missing claim": {ci, map[string]object.Claim{"aud": text("https://hearth.example"),
			"sub": text("repo:acme/app")}, object.Anonymous},
		"a list of groups": {login, map[string]object.Claim{"aud": text("hearth"), "groups": list("ops", "staff"),
			"email_verified": text("true"), "level": text("3")}, "staff"},
		"not verified": {login, map[string]object.Claim{"aud": text("hearth"), "groups": list("staff"),
			"email_verified": text("false"), "level": text("3")}, object.Anonymous},
		"two principals": {login, map[string]object.Claim{"aud": text("hearth"), "groups": list("staff"),
			"email_verified": text("true"), "level": text("3"), "sub": text("boss")}, object.Anonymous},
	} {
		claims := &object.Claims{Issuer: tt.issuer, Values: tt.claims}
		if got := p.Principal(object.Peer{Auth: object.AuthOIDC, Claims: claims}); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		if got := p.Principal(object.Peer{Auth: object.AuthBearer, Claims: claims}); got != object.Anonymous {
			t.Errorf("%s: claims without a token make %s", name, got)
		}
	}
	if got := p.Principal(object.Peer{Auth: object.AuthOIDC}); got != object.Anonymous {
		t.Errorf("no claims make %s", got)
	}
}

func TestTokenMistakes(t *testing.T) {
	block := func(issuer, rest string) string {
		return "principal \"p\" {\n oidc {\n issuer = \"" + issuer + "\"\n audience = \"a\"\n" + rest + "\n }\n}\n"
	}
	const claims = `claims = { sub = "x" }`
	for text, want := range map[string]string{
		block("http://ci.example", claims):                                      "must be an https URL",
		block("http://ci.example", claims+"\nplain = true"):                     "must be an https URL",
		block("http://localhost:1", claims+"\nplain = true"):                    "must be an https URL",
		block("http://127.0.0.1:1", claims):                                     "are not protected",
		block("http://127.0.0.1:1/x", claims+"\nplain = true"):                  "",
		block("http://[::1]:1", claims+"\nplain = true"):                        "",
		block("https://ci.example", claims+"\nplain = true"):                    "remove plain",
		block("https://u:p@ci.example", claims):                                 "not the URL",
		block("https://ci.example?x=1", claims):                                 "not the URL",
		block("https://ci.example#x", claims):                                   "not the URL",
		block("ci.example", claims):                                             "not the URL",
		block("https://ci.example", ""):                                         "needs claims",
		block("https://ci.example", `claims = ["sub"]`):                         "claims by name",
		block("https://ci.example", `claims = { sub = null }`):                  "null",
		block("https://ci.example", `claims = { sub = {} }`):                    `"sub" must be a string`,
		block("https://ci.example", `claims = { sub = [] }`):                    `"sub" must be a string`,
		block("https://ci.example", `claims = { sub = [1] }`):                   `"sub" must be a string`,
		block("https://ci.example", `claims = { iss = "x" }`):                   "a separate attribute",
		block("https://ci.example", "claims = {\nsub = \"x\"\nsub = \"y\"\n}"):  "there twice",
		oidcPrincipals + block("https://ci.example", claims+"\nca = \"x.pem\""): "has another ca",
	} {
		_, err := policyfile.Parse("policy.hcl", []byte(head+text), "/base", hostUID, accounts)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n%v, want %q", text, err, want)
		}
	}
	if p := mustParse(t, head+block("https://ci.example", "claims = {}")); !strings.Contains(p.Warnings.Error(),
		"every token of https://ci.example") {
		t.Errorf("warnings %v", p.Warnings)
	}
}

// TestGatewayAndClaimsInTests checks the attributes of test blocks.
func TestGatewayAndClaimsInTests(t *testing.T) {
	const rules = oidcPrincipals + `
permit "ci deploys" {
  principals = ["ci"]
  objects    = ["acme.*"]
  when       = caller.gateway == "http" && caller.claims.actor == "ann" && contains(caller.claims.groups, "ops")
}
`
	test := func(attributes, want string) string {
		return "test \"t\" {\n principal = \"ci\"\n call = \"acme.app.deploy\"\n want = \"" + want + "\"\n" +
			attributes + "\n}\n"
	}
	for attributes, want := range map[string]string{
		`gateway = "http"` + "\n" + `claims = { actor = "ann", groups = ["ops", "x"] }`: "permit",
		`gateway = "mcp"` + "\n" + `claims = { actor = "ann", groups = ["ops", "x"] }`:  "deny",
		`claims = { actor = "ann", groups = ["ops", "x"] }`:                             "deny", // unset
		`gateway = "http"` + "\n" + `claims = { actor = "ann" }`:                        "deny",
		`gateway = "http"`: "deny",
		"":                 "deny",
	} {
		if _, err := policyfile.Parse("policy.hcl", []byte(head+rules+test(attributes, want)), "/base", hostUID,
			accounts); err != nil {
			t.Errorf("%s: %v", attributes, err)
		}
	}
	for attributes, want := range map[string]string{
		`gateway = "https"`:               `"https" is not valid`,
		`claims = { actor = ["a", "a"] }`: `"actor" must be a string`,
	} {
		text := head + rules + test(attributes, "deny")
		_, err := policyfile.Parse("policy.hcl", []byte(text), "/base", hostUID, accounts)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", attributes, err, want)
		}
	}
	for when, want := range map[string]string{
		`caller.gateway == "https"`:                            `is never "https"`,
		`caller.claims == "x"`:                                 "needs the name of a claim",
		`caller.claims.a.b == "x"`:                             "claims inside of claims",
		`caller.claims["a"]["b"] == "x"`:                       "in caller.claims",
		`caller.groups[0] == "x"`:                              "in caller.claims",
		`caller.claims.verified == true`:                       `write claims as strings`,
		`caller.claims.sub == "a" && caller.claims.sub == "b"`: "can never hold",
		`caller.gateway == "http" && caller.gateway == "mcp"`:  "can never hold",
		`contains(caller.principal, "x")`:                      "argument must be a list",
	} {
		text := head + "permit \"p\" {\n principals = [\"bob\"]\n objects = [\"acme.*\"]\n when = " + when + "\n}\n"
		_, err := policyfile.Parse("policy.hcl", []byte(text), "/base", hostUID, accounts)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", when, err, want)
		}
	}
}
