package policyfile_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/policy/problem"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fields compares the settings of a definition.
var fields = cmp.Options{
	cmpopts.IgnoreFields(policy.Definition{}, "Sum", "Set", "Tests", "Audit", "Settings", "Declared", "Users", "Certs",
		"Owners", "Groups", "Subjects", "Siblings", "Zone", "MaxArgumentBytes"),
	cmpopts.IgnoreFields(policy.Listener{}, "Where"),
	cmpopts.IgnoreFields(policy.KeyFile{}, "Where"),
}

func TestParse(t *testing.T) {
	src := `
scripts = "/srv/scripts"
state   = "../var"
listener "v4" { address = "127.0.0.1:7766" }
listener "v6" {
  address  = "[::1]:0"
  identify = ["peer"]
}
listener "socket" { address = "unix:state/h.sock" }
listener "elsewhere" { address = "unix:/run/h.sock" }
tenant "b" {}
tenant "a" {}
`
	p, err := policyfile.Parse("policy.hcl", []byte(src), "/base/etc", hostUID, accounts)
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Definition{
		Scripts: "/srv/scripts", Plugins: "/base/etc/plugins", State: "/base/var", Tenants: []object.Tenant{"a", "b"},
		Listeners: []policy.Listener{
			{Name: "v4", Address: "127.0.0.1:7766", Identify: []string{"peer"}, Plain: true},
			{Name: "v6", Address: "[::1]:0", Identify: []string{"peer"}, Plain: true},
			{Name: "socket", Address: "unix:/base/etc/state/h.sock", Identify: []string{"peer"}, Plain: true},
			{Name: "elsewhere", Address: "unix:/run/h.sock", Identify: []string{"peer"}, Plain: true},
		},
	}
	if diff := cmp.Diff(want, p.Definition, fields); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsOfAFile(t *testing.T) {
	p := mustParse(t, `listener "local" { address = "127.0.0.1:0" }`)
	if p.Scripts != "/base/scripts" || p.State != "/base/state" || p.AllTenants || len(p.Tenants) != 0 ||
		p.Serves("demo") {
		t.Errorf("an almost empty file: %+v", p)
	}
}

// TestGolden compares the errors of each testdata/*.hcl with the .err beside it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := policyfile.Parse(filepath.Base(file), src, "/base", hostUID, accounts)
		if err == nil || p != nil {
			t.Errorf("%s: no error", file)
			continue
		}
		golden := strings.TrimSuffix(file, ".hcl") + ".err"
		got := err.Error() + "\n"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", file, diff)
		}
	}
}

// TestOneMistake checks that each of these mistakes alone is an error.
func TestOneMistake(t *testing.T) {
	permit := func(attributes string) string { return head + "permit \"p\" {\n" + attributes + "\n}\n" }
	for name, src := range map[string]string{
		"JSON":                  `{"scripts": "scripts"}`,
		"reserved uid":          head + `principal "x" { uid = 4294967295 }`,
		"uid too large":         head + `principal "x" { uid = 4294967296 }`,
		"negative uid":          head + `principal "x" { uid = -1 }`,
		"half a uid":            head + `principal "x" { uid = 1.5 }`,
		"uid as text":           head + `principal "x" { uid = "7" }`,
		"account without uid":   head + `principal "x" { user = "broken" }`,
		"same uid by lookup":    head + `principal "x" { user = "alias" }`,
		"same uid as the host":  head + `principal "x" { uid = 500 }`,
		"no identification":     head + `principal "x" {}`,
		"block in a tenant":     head + "tenant \"x\" {\n limitz {}\n}",
		"attribute in a tenant": head + `tenant "x" { user = "x" }`,
		"tenant Pyro":           head + `tenant "Pyro" {}`,
		"tenant with a dot":     head + `tenant "a.b" {}`,
		"tenant twice":          head + `tenant "acme" {}`,
		"two labels":            head + `tenant "a" "b" {}`,
		"empty label":           head + `tenant "" {}`,
		"newline in a label":    head + `permit "a\nb" { }`,
		"null":                  head + `scripts = null`,
		"variable":              head + `scripts = home`,
		"template variable":     head + `scripts = "${home}/x"`,
		"function":              head + `scripts = file("x")`,
		"host's objects":        permit(`principals = ["bob"]` + "\n" + `objects = ["Pyro.Daemon"]`),
		"half a tenant":         permit(`principals = ["bob"]` + "\n" + `objects = ["ac*.x"]`),
		"a tenant alone":        permit(`principals = ["bob"]` + "\n" + `objects = ["acme"]`),
		"empty part":            permit(`principals = ["bob"]` + "\n" + `objects = ["acme..x"]`),
		"trailing dot":          permit(`principals = ["bob"]` + "\n" + `objects = ["acme.x."]`),
		"two stars":             permit(`principals = ["bob"]` + "\n" + `objects = ["acme.**"]`),
		"other wildcard":        permit(`principals = ["bob"]` + "\n" + `objects = ["acme.?"]`),
		"pattern as principal":  permit(`principals = ["object:acme.*"]` + "\n" + `objects = ["acme.x"]`),
		"star as principal":     permit(`principals = ["*"]` + "\n" + `objects = ["acme.x"]`),
		"object of no tenant":   permit(`principals = ["object:nosuch.x"]` + "\n" + `objects = ["acme.x"]`),
		"host's object":         permit(`principals = ["object:Pyro.x"]` + "\n" + `objects = ["acme.x"]`),
		"principals as text":    permit(`principals = "bob"` + "\n" + `objects = ["acme.x"]`),
		"principals computed":   permit(`principals = [for x in ["bob"] : x]` + "\n" + `objects = ["acme.x"]`),
		"number in a list":      permit(`principals = [7]` + "\n" + `objects = ["acme.x"]`),
		"null in a list":        permit(`principals = [null]` + "\n" + `objects = ["acme.x"]`),
		"no principals":         permit(`objects = ["acme.x"]`),
		"no objects":            permit(`principals = ["bob"]`),
		"nobody":                permit(`principals = []` + "\n" + `objects = ["acme.x"]`),
		"nothing":               permit(`principals = ["bob"]` + "\n" + `objects = []`),
		"no method":             permit(`principals = ["bob"]` + "\n" + `objects = ["acme.x"]` + "\n" + `methods = []`),
		"every method": permit(`principals = ["bob"]` + "\n" + `objects = ["acme.x"]` + "\n" +
			`methods = ["*"]`),
		"setting of nothing": permit(`principals = ["bob"]` + "\n" + `objects = ["acme.x"]` + "\n" +
			`methods = ["="]`),
		"setting twice": permit(`principals = ["bob"]` + "\n" + `objects = ["acme.x"]` + "\n" +
			`methods = ["x=="]`),
		"private method": permit(`principals = ["bob"]` + "\n" + `objects = ["acme.x"]` + "\n" +
			`methods = ["_x"]`),
		"null methods": permit(`principals = ["bob"]` + "\n" + `objects = ["acme.x"]` + "\n" +
			`methods = null`),
		"tracebacks as text": permit(`principals = ["bob"]` + "\n" + `objects = ["acme.x"]` + "\n" +
			`tracebacks = "true"`),
		"same address":   head + `listener "b" { address = "127.0.0.1:7766" }`,
		"public address": head + `listener "b" { address = "0.0.0.0:7766" }`,
		"too large":      head + strings.Repeat("# comment\n", 500_000),
	} {
		p, err := policyfile.Parse("policy.hcl", []byte(src), "/base", hostUID, accounts)
		var ps problem.List
		if !errors.As(err, &ps) || p != nil {
			t.Errorf("%s: Parse = %v, %v; want problems", name, p, err)
			continue
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.HasPrefix(line, "policy.hcl:") {
				t.Errorf("%s: a line without a place: %q", name, line)
			}
		}
		if len(ps) != 1 {
			t.Errorf("%s: %d problems, want 1:\n%v", name, len(ps), err)
		}
	}
}

// TestNesting checks that a file of pure nesting is an error and does not end the process.
func TestNesting(t *testing.T) {
	units := []string{
		"a = 1\n", "x[0]", ".x", ".*", "[*]", "1+", "x == ", "%{for x in y}", "\"a\" ", "((((", ")(", "}\n{", "(", "[",
		"{",
		"!", "-", "{a=", "[[", "true ? ", "x {\n", `"${`, "<<E\n${", "f(", "a[", "%{if ",
	}
	for _, unit := range units {
		src := "scripts = " + strings.Repeat(unit, (32<<10)/len(unit))
		if _, err := policyfile.Parse("policy.hcl", []byte(src), "/base", hostUID, accounts); err == nil {
			t.Errorf("%q repeated: no error", unit)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := policyfile.Load(filepath.Join(dir, "nosuch.hcl"), hostUID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := policyfile.Load(dir, hostUID); err == nil {
		t.Error("a folder was read")
	}
	file := filepath.Join(dir, "policy.hcl")
	write := func(src string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`listener "s" { address = "unix:h.sock" }
principal "root" { user = "root" }`)
	p, err := policyfile.Load(file, hostUID)
	if err != nil {
		t.Fatal(err)
	}
	if p.Scripts != filepath.Join(dir, "scripts") || p.Listeners[0].Address != "unix:"+filepath.Join(dir, "h.sock") {
		t.Errorf("paths: %+v", p)
	}
	if got := p.Principal(object.Peer{Auth: "peer"}); got != "root" {
		t.Errorf("uid 0 is %s", got)
	}
	write(`listener "s" { address = "unix:h.sock" }
principal "x" { user = "no-such-account-here" }`)
	_, err = policyfile.Load(file, hostUID)
	if want := file + `:2:24: user "no-such-account-here": account not found`; err == nil ||
		err.Error() != want {
		t.Errorf("Load = %v, want %s", err, want)
	}
	write(strings.Repeat("#", 5<<20))
	if _, err := policyfile.Load(file, hostUID); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a large file: %v", err)
	}
}

// TestShipped loads the shipped policy file and checks the decisions that its comments promise.
func TestShipped(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policyfile.Load("../../policy.hcl", hostUID)
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Definition{
		Scripts: filepath.Join(root, "scripts"), Plugins: filepath.Join(root, "plugins"), State: filepath.Join(root,
			"state"),
		Tenants: []object.Tenant{"bank", "demo", "shop"},
		Listeners: []policy.Listener{
			{Name: "local", Address: "127.0.0.1:7766", Identify: []string{"peer", "hmac"}, Plain: true},
			{Name: "socket", Address: "unix:" + filepath.Join(root, "state", "hearth.sock"),
				Identify: []string{"peer"}, Plain: true},
		},
		Enroll: &policy.Enroll{},
	}
	for _, name := range []string{"clerk", "auditor", "partner"} {
		want.Keys = append(want.Keys, policy.KeyFile{Principal: object.Principal(name),
			Path: filepath.Join(root, "keys", name+".key")})
	}
	if diff := cmp.Diff(want, p.Definition, fields); diff != "" {
		t.Error(diff)
	}
	if len(p.Tests) < 2 {
		t.Errorf("the shipped policy has %d tests", len(p.Tests))
	}
	owner := caller(p.Principal(object.Peer{Auth: "peer", UID: hostUID}))
	relay := caller("object:demo.relay")
	for _, tt := range []struct {
		who    object.Caller
		id     object.ID
		m      object.Method
		permit bool
	}{
		{owner, "demo.echo", "echo", true}, {owner, "acme.echo", "echo", false}, {owner, "bank.ledger", "book", false},
		{caller("clerk"), "shop.till", "sell", true}, {caller("clerk"), "bank.ledger", "balance", false},
		{caller("object:shop.till"), "bank.ledger", "book", true}, {caller("object:shop.till"), "bank.ledger",
			"balance", false},
		{relay, "demo.counter", "add", true}, {relay, "demo.counter", "total", true},
		{caller("auditor"), "demo.counter", "total", true}, {caller("auditor"), "demo.counter", "count",
			true}, {caller("auditor"), "demo.echo", "count", false},
		{relay, "demo.counter", "reset", false}, {relay, "demo.echo", "echo", false},
		{caller(object.Anonymous), "demo.echo", "echo", false},
	} {
		d := p.Decide(tt.who, tt.id, tt.m)
		if d.Permit != tt.permit || d.Traceback != (tt.permit && tt.who == owner) {
			t.Errorf("Decide(%s, %s.%s) = %+v, want %v", tt.who.Principal, tt.id, tt.m, d, tt.permit)
		}
	}
	if p.Known(object.Anonymous) {
		t.Error("the shipped policy lets strangers in")
	}
}
