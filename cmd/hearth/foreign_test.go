package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/audit/trail"
)

func TestForeign(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want, inline, quoted string }{
		{"plain\n\té", "plain\n\té", `plain\n\té`, `"plain\n\té"`},
		{"\x1b[31mred", `\u001b[31mred`, `\u001b[31mred`, `"\x1b[31mred"`},
		{"a\rb\u202ec", `a\u000db\u202ec`, `a\u000db\u202ec`, `"a\rb\u202ec"`},
		{"\u009b2J\x7f", `\u009b2J\u007f`, `\u009b2J\u007f`, `"\u009b2J\x7f"`},
		{"\x9b2J", `\x9b2J`, `\x9b2J`, `"\x9b2J"`},
		{"\U000e0041\u2028", `\udb40\udc41\u2028`, `\udb40\udc41\u2028`, `"\U000e0041\u2028"`},
		{"acme.counter.add", "acme.counter.add", "acme.counter.add", "acme.counter.add"},
		{"add  from 1.2.3.4: rule", "add  from 1.2.3.4: rule", "add  from 1.2.3.4: rule", `"add  from 1.2.3.4: rule"`},
		{`"a"`, `"a"`, `"a"`, `"\"a\""`},
		{"", "", "", `""`},
	}
	for _, tt := range tests {
		if got := foreign(tt.in); got != tt.want {
			t.Errorf("foreign(%q) = %q, want %q", tt.in, got, tt.want)
		}
		if got := inline(tt.in); got != tt.inline {
			t.Errorf("inline(%q) = %q, want %q", tt.in, got, tt.inline)
		}
		if got := quoted(tt.in); got != tt.quoted {
			t.Errorf("quoted(%q) = %s, want %s", tt.in, got, tt.quoted)
		}
	}
}

// TestPrintable writes a text in pieces of every size, as a program does that does not count characters.
func TestPrintable(t *testing.T) {
	t.Parallel()
	const in, want = "é\x1b[0m€\u009b𝄞\U000e0041\x9b\xe2\x82", "é\\u001b[0m€\\u009b𝄞\\udb40\\udc41\\x9b\\xe2\\x82"
	for size := 1; size <= len(in); size++ {
		var out bytes.Buffer
		p := &printable{w: &out}
		for rest := in; rest != ""; rest = rest[min(size, len(rest)):] {
			if n, err := p.Write([]byte(rest[:min(size, len(rest))])); n != min(size, len(rest)) || err != nil {
				t.Fatalf("Write() = %d, %v", n, err)
			}
		}
		if err := p.Close(); err != nil || out.String() != want {
			t.Errorf("in pieces of %d bytes: %q, %v; want %q", size, &out, err, want)
		}
	}
	var out bytes.Buffer
	value := map[string]string{"text": "back\\slash \u009b \U000e0041 \x1b \" \u202e"}
	p := &printable{w: &out}
	if err := printJSON(p, value); err != nil {
		t.Fatal(err)
	}
	var back map[string]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["text"] != value["text"] {
		t.Errorf("the JSON %s became %q, %v", &out, back, err)
	}
}

// TestForgedAuditLine puts text that looks like another record into every text of a record.
func TestForgedAuditLine(t *testing.T) {
	t.Parallel()
	const forged = "x\n2027-01-31T18:00:00.000000Z  permit  root  acme.bank.pay  " +
		"from 192.0.2.1: policy.hcl:3 permit \"all\"\x1b[8m"
	for name, e := range map[string]*trail.Entry{
		"a method": {Time: "t", Event: "call", Decision: "deny", Principal: "mallory", Object: "acme.bank",
			Method: forged, Peer: "p", Reason: "r"},
		"an object": {Time: "t", Event: "see", Decision: "deny", Principal: "mallory", Object: forged, Peer: "p",
			Reason: "r"},
		"a reason": {Time: "t", Event: "call", Decision: "deny", Principal: "mallory", Object: "o", Peer: "p",
			Reason: forged},
		"an event":    {Time: "t", Event: "refused", Object: forged, Detail: forged, Why: forged},
		"a principal": {Time: "t", Event: "call", Decision: "deny", Principal: forged, Object: "o", Peer: forged},
		"with a space": {Time: "t", Event: "call", Decision: "deny", Principal: "mallory", Object: "o",
			Method: "x  from 192.0.2.1: policy.hcl:3", Peer: "p"},
	} {
		var out bytes.Buffer
		new(auditFlags).print(&out, e)
		if line := out.String(); strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") ||
			strings.Contains(line, "\x1b") {
			t.Errorf("%s makes more than a line: %q", name, line)
		}
		if name == "with a space" && strings.Contains(strings.SplitN(out.String(), `"`, 2)[0], " from 192") {
			t.Errorf("%s forges the rest of its line: %s", name, &out)
		}
	}
}
