package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShieldNegatives(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ in, want []string }{
		{[]string{"call", "-5", "-1.5e-3", "-c", "-", "--5", "-5s", "5"},
			[]string{"call", shield + "-5", shield + "-1.5e-3", "-c", "-", "--5", "-5s", "5"}},
		{[]string{"ca", "init", "--days", "-1"}, []string{"ca", "init", "--days", "-1"}},
		{[]string{"audit", "tail", "-n", "-1"}, []string{"audit", "tail", "-n", "-1"}},
		{[]string{"call", "x", "--json", "-1"}, []string{"call", "x", "--json", shield + "-1"}},
		{[]string{"call", "--days", "-1"}, []string{"call", "--days", shield + "-1"}},
	} {
		if diff := cmp.Diff(row.want, shieldNegatives(newRoot(), row.in)); diff != "" {
			t.Errorf("%q: -want +got\n%s", row.in, diff)
		}
	}
}
