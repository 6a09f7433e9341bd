package policyfile_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// recipe is a recipe of doc/policy.md. It holds the rest of a complete policy file, and the decisions that the recipe
// promises.
type recipe struct {
	title    string // first words of its paragraph
	rest     string
	limit    map[string]string // by "principal object": the limits of those calls
	promises []promise
}

// promise is a call and its decision. given are connection attributes, "name=value" separated by spaces.
type promise struct {
	who, call, given string
	permit           bool
}

const aListener = "listener \"local\" { address = \"127.0.0.1:7766\" }\n"

var recipes = []recipe{
	{title: "One user at home.", promises: []promise{
		{"me", "home.kitchen.light", "", true},
		{"object:home.kitchen", "home.heating.warm", "", true},
		{"object:home.garage", "home.heating.warm", "", false},
		{"anonymous", "home.kitchen.light", "", false},
	}},
	{title: "Two teams on one host", rest: aListener, promises: []promise{
		{"ann", "red.orders.list", "", true},
		{"ann", "red.status.summary", "", true},
		{"ann", "blue.orders.list", "", false},
		{"bob", "blue.orders.list", "", true},
		{"bob", "red.status.summary", "", true},
		{"bob", "red.status.reset", "", false},
		{"bob", "red.orders.list", "", false},
	}},
	{title: "Support that only reads", rest: aListener + `
principal "carla" { uid = 1 }
principal "dan"   { uid = 2 }
tenant "red" {}
tenant "blue" {}
`, promises: []promise{
		{"carla", "red.orders.list", "time=2027-01-29T08:00:00Z", true}, // a Friday
		{"dan", "blue.a.b.status", "time=2027-01-29T17:59:59Z", true},
		{"dan", "blue.counter.total", "time=2027-01-29T12:00:00Z", true},
		{"dan", "blue.counter.total=", "time=2027-01-29T12:00:00Z", false},
		{"dan", "blue.orders.place", "time=2027-01-29T12:00:00Z", false},
		{"dan", "blue.orders.list", "time=2027-01-29T18:00:00Z", false},
		{"dan", "blue.orders.list", "time=2027-01-30T12:00:00Z", false},
		{"dan", "blue.salaries.list", "time=2027-01-29T12:00:00Z", false},
		{"dan", "blue.orders.list", "", false},
	}},
	{title: "A public method", rest: aListener + `tenant "demo" {}`,
		limit: map[string]string{"anonymous demo.clock": "20/s, 4 at a time"}, promises: []promise{
			{"anonymous", "demo.clock.now", "", true},
			{"anonymous", "demo.clock.set", "", false},
			{"anonymous", "demo.counter.now", "", false},
		}},
	{title: "A partner over mutual TLS", rest: `tenant "shop" {}`,
		limit: map[string]string{"partner shop.orders": "10/s"}, promises: []promise{
			{"partner", "shop.orders.place", "channel=tls auth=cert address=192.0.2.9", true},
			{"partner", "shop.orders.status", "channel=tls auth=cert address=2001:db8:7::1", true},
			{"partner", "shop.orders.cancel", "channel=tls auth=cert address=192.0.2.9", false},
			{"partner", "shop.orders.place", "channel=tls auth=cert address=198.51.100.9", false},
			{"partner", "shop.orders.place", "channel=tls auth=cert", false},
			{"anonymous", "shop.orders.place", "channel=tls address=192.0.2.9", false},
		}},
	{title: "Break-glass", rest: aListener + `tenant "shop" {}`, promises: []promise{
		{"emergency", "shop.orders.list", "time=2027-01-31T05:59:59Z", true},
		{"emergency", "shop.orders.list", "time=2027-01-31T06:00:00Z", false},
		{"emergency", "shop.orders.list", "", false},
	}},
	{title: "An exception from a permit", rest: aListener + `
principal "carol" { uid = 1 }
principal "cindy" { uid = 2 }
tenant "shop" {}
permit "the till" {
  principals = ["carol", "cindy"]
  objects    = ["shop.till"]
}
`, promises: []promise{
		{"carol", "shop.till.empty", "", false},
		{"carol", "shop.till.sell", "", true},
		{"cindy", "shop.till.empty", "", true},
	}},
}

// TestCookbook loads each recipe of doc/policy.md in a complete file and checks the decisions that it promises.
func TestCookbook(t *testing.T) {
	doc, err := os.ReadFile("../../doc/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, cookbook, found := strings.Cut(string(doc), "\n## Cookbook\n")
	if !found {
		t.Fatal("doc/policy.md has no cookbook")
	}
	block := regexp.MustCompile(`(?m)^    .*\n(?:(?:    .*)?\n)*`)
	for _, r := range recipes {
		t.Run(r.title, func(t *testing.T) {
			_, after, found := strings.Cut(strings.ReplaceAll(cookbook, "**", ""), "\n"+r.title)
			if !found {
				t.Fatal("it is not in the cookbook")
			}
			src := r.rest + "\n" + block.FindString(after)
			p, err := policyfile.Parse("recipe", []byte(src), "/base", hostUID, func(user string) (uint32, error) {
				uid, ok := map[string]uint32{"ann": 1, "bob": 2}[user]
				if !ok {
					return 0, errors.New("the system has no such account")
				}
				return uid, nil
			})
			if err != nil {
				t.Fatalf("%v\n%s", err, src)
			}
			if len(p.Warnings) > 0 {
				t.Errorf("warnings: %v", p.Warnings)
			}
			for _, s := range r.promises {
				id, m, err := policy.SplitCall(s.call)
				if err != nil {
					t.Fatal(err)
				}
				if d := p.DecideQuery(object.Principal(s.who), givenOf(t, s.given), id, m); d.Permit != s.permit {
					t.Errorf("%s calling %s, given %q: %+v, want %v", s.who, s.call, s.given, d, s.permit)
				}
			}
			for about, want := range r.limit {
				who, id, _ := strings.Cut(about, " ")
				if l := p.LimitsOf(object.Principal(who), object.ID(id)); len(l) != 1 || l[0].String() != want {
					t.Errorf("limits of %s: %v, want %s", about, l, want)
				}
			}
		})
	}
	if n := len(block.FindAllString(cookbook, -1)); n != len(recipes)+1 { // the last are commands
		t.Errorf("the cookbook has %d recipes, and %d are tested", n-1, len(recipes))
	}
}

// givenOf parses "name=value" separated by spaces.
func givenOf(t *testing.T, s string) policy.Query {
	t.Helper()
	var g policy.Query
	for _, fact := range strings.Fields(s) {
		name, value, _ := strings.Cut(fact, "=")
		if err := g.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	return g
}
