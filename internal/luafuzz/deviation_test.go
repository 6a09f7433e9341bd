package luafuzz

import (
	"strings"
	"testing"
)

func TestDeviationsOfTheDocument(t *testing.T) {
	t.Parallel()
	got, err := ReadDeviations("../../doc/lua.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range handled {
		if !got[name] {
			t.Errorf("doc/lua.md does not list %q, which the comparison allows for", name)
		}
	}
}

func TestParseDeviations(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ document, want string }{
		{"text", "no list"},
		{listBegin + "    " + string(Border) + "   a reason\n" + listEnd, ""},
		{listBegin + "    " + string(Border) + "\n" + listEnd, "no reason"},
		{listBegin + "    something new   a reason\n" + listEnd, "unknown deviation"},
		{listBegin + "    " + string(Border) + "   a reason\n", "no list"},
	} {
		d, err := parseDeviations(tt.document)
		switch {
		case tt.want == "" && (err != nil || !d[Border]):
			t.Errorf("parseDeviations(%q) = %v, %v", tt.document, d, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("parseDeviations(%q): error %v, want %q", tt.document, err, tt.want)
		}
	}
}
