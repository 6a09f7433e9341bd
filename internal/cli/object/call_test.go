package object

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseKeywords(t *testing.T) {
	t.Parallel()
	got, err := parseKeywords([]string{"a=1", "b=x=y", "c="})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"a": int64(1), "b": "x=y", "c": ""}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, bad := range [][]string{{"a"}, {"=1"}, {"a=1", "a=2"}, {"a=[1"}} {
		if _, err := parseKeywords(bad); err == nil {
			t.Errorf("parseKeywords(%q) = nil error", bad)
		}
	}
}
