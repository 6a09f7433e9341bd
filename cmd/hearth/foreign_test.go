package main

import "testing"

func TestForeign(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"plain\n\té", "plain\n\té"},
		{"\x1b[31mred", `\u001b[31mred`},
		{"a\rb\u202ec", `a\u000db\u202ec`},
	}
	for _, tt := range tests {
		if got := foreign(tt.in); got != tt.want {
			t.Errorf("foreign(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
