package display

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want, inline, Quote string }{
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
		if got := Escape(tt.in); got != tt.want {
			t.Errorf("Escape(%q) = %q, want %q", tt.in, got, tt.want)
		}
		if got := Inline(tt.in); got != tt.inline {
			t.Errorf("Inline(%q) = %q, want %q", tt.in, got, tt.inline)
		}
		if got := Quote(tt.in); got != tt.Quote {
			t.Errorf("Quote(%q) = %s, want %s", tt.in, got, tt.Quote)
		}
	}
}

// TestWriter writes a text in pieces of every size, as a program does that does not count characters.
func TestWriter(t *testing.T) {
	t.Parallel()
	const in, want = "é\x1b[0m€\u009b𝄞\U000e0041\x9b\xe2\x82", "é\\u001b[0m€\\u009b𝄞\\udb40\\udc41\\x9b\\xe2\\x82"
	for size := 1; size <= len(in); size++ {
		var out bytes.Buffer
		p := NewWriter(&out)
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
	p := NewWriter(&out)
	if err := JSON(p, value); err != nil {
		t.Fatal(err)
	}
	var back map[string]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["text"] != value["text"] {
		t.Errorf("the JSON %s became %q, %v", &out, back, err)
	}
}
