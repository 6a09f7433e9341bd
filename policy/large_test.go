package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// large is a policy of 10,000 principals in 100 groups, 100 tenants with 100 objects each, and 1,000 rules: permits
// and forbids, some with a condition.
func large() string {
	var b strings.Builder
	b.WriteString("listener \"local\" { address = \"127.0.0.1:7766\" }\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "principal \"p%d\" { uid = %d }\n", i, 1000+i)
	}
	for i := range 100 {
		var members []string
		for j := range 100 {
			members = append(members, fmt.Sprintf("\"p%d\"", i*100+j))
		}
		fmt.Fprintf(&b, "group \"g%d\" { members = [%s] }\n", i, strings.Join(members, ", "))
		fmt.Fprintf(&b, "tenant \"t%d\" {}\n", i)
	}
	var all []string
	for i := range 100 {
		all = append(all, fmt.Sprintf("\"g%d\"", i))
	}
	fmt.Fprintf(&b, "group \"everybody\" { members = [%s] }\n", strings.Join(all, ", "))
	for i := range 1000 {
		kind, who, objects, more := "permit", fmt.Sprintf("g%d", i%100), fmt.Sprintf("t%d.o%d*", (i*7)%100, i%10), ""
		switch i % 10 {
		case 3:
			kind, more = "forbid", "methods = [\"reset\"]"
		case 5:
			who, more = "everybody", "when = caller.channel == \"tls\""
		case 7:
			objects, more = fmt.Sprintf("*.common%d", i), "methods = [\"get\", \"list\"]"
		case 9:
			who = fmt.Sprintf("p%d", i*3)
		}
		fmt.Fprintf(&b, "%s \"r%d\" {\n principals = [%q]\n objects = [%q]\n %s\n}\n", kind, i, who, objects, more)
	}
	return b.String()
}

// someOfLarge returns queries on it: permitted, forbidden, conditional and unknown.
func someOfLarge() (out []struct {
	who object.Caller
	id  object.ID
	m   object.Method
}) {
	for i := range 64 {
		q := questions[0]
		q.who = caller(object.Principal(fmt.Sprintf("p%d", i*151)))
		q.who.Peer.Channel = []string{"tls", "tcp"}[i%2]
		q.id = object.ID(fmt.Sprintf("t%d.o%d", (i*7)%100, i))
		q.m = []object.Method{"get", "reset", "add"}[i%3]
		out = append(out, q)
	}
	return out
}

func TestLargeDoesNotAllocate(t *testing.T) {
	p := mustParse(t, large())
	permits, denies := 0, 0
	for _, q := range someOfLarge() {
		d := p.Decide(q.who, q.id, q.m) // and is remembered
		if d.Permit {
			permits++
		} else {
			denies++
		}
		if n := testing.AllocsPerRun(100, func() { p.Decide(q.who, q.id, q.m) }); n != 0 {
			t.Errorf("deciding on %s, %s.%s (%s) allocates %v times", q.who.Principal, q.id, q.m, d.Reason, n)
		}
	}
	if permits == 0 || denies == 0 {
		t.Errorf("%d permits and %d denies: the queries are not diverse", permits, denies)
	}
}

// BenchmarkLarge measures reading a large policy, cached decisions and decisions that are not cached.
func BenchmarkLarge(b *testing.B) {
	src := []byte(large())
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := policyfile.Parse("policy.hcl", src, "/base", hostUID, accounts); err != nil {
				b.Fatal(err)
			}
		}
	})
	p := mustParse(b, string(src))
	qs := someOfLarge()
	b.Run("decide", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			q := &qs[i%len(qs)]
			p.Decide(q.who, q.id, q.m)
		}
	})
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			q := &qs[i%len(qs)]
			p.Decide(q.who, object.ID(fmt.Sprintf("%s%d", q.id, i)), q.m)
		}
	})
	b.Run("visible", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			q := &qs[i%len(qs)]
			p.Visible(q.who, q.id)
		}
	})
}
