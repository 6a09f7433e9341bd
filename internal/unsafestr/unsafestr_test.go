package unsafestr_test

import (
	"testing"

	"github.com/hearthhost/hearth/internal/unsafestr"
)

func TestMost(t *testing.T) {
	whole := []byte("0123456789")
	larger := append(whole[:10:10], "abc"...)
	for _, c := range []struct {
		name string
		part []byte
		want bool
	}{
		{"all", whole, true},
		{"half at the start", whole[:5], true},
		{"half at the end", whole[5:], true},
		{"less than half", whole[3:7], false},
		{"empty", whole[4:4], false},
		{"nothing", nil, false},
		{"equal bytes elsewhere", []byte("0123456789"), false},
		{"a copy that grew", larger, false},
	} {
		if got := unsafestr.Most(whole, c.part); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
	if big := append(make([]byte, 0, 20), whole...); unsafestr.Most(big[:10], big[5:15]) {
		t.Error("bytes that go beyond the whole count as its part")
	}
}

func TestSharing(t *testing.T) {
	b := []byte("some text")
	s := unsafestr.Text(b)
	if s != "some text" || string(unsafestr.Bytes(s)) != s {
		t.Errorf("got %q and %q", s, unsafestr.Bytes(s))
	}
	if !unsafestr.Most(b, unsafestr.Bytes(s)) {
		t.Error("the text is a copy")
	}
	if unsafestr.Text(nil) != "" || len(unsafestr.Bytes("")) != 0 {
		t.Error("an empty value does not stay empty")
	}
}
