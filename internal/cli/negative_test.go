package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestShieldNegatives(t *testing.T) {
	t.Parallel()
	root, audit := &cobra.Command{Use: "hearth"}, &cobra.Command{Use: "audit"}
	call, tail := &cobra.Command{Use: "call"}, &cobra.Command{Use: "tail"}
	ca, caInit := &cobra.Command{Use: "ca"}, &cobra.Command{Use: "init"}
	root.AddCommand(call, ca, audit)
	ca.AddCommand(caInit)
	audit.AddCommand(tail)
	call.Flags().Bool("json", false, "")
	caInit.Flags().Int("days", 1, "")
	tail.Flags().IntP("lines", "n", 1, "")
	for _, row := range []struct{ in, want []string }{
		{[]string{"call", "-5", "-1.5e-3", "-c", "-", "--5", "-5s", "5"},
			[]string{"call", shield + "-5", shield + "-1.5e-3", "-c", "-", "--5", "-5s", "5"}},
		{[]string{"ca", "init", "--days", "-1"}, []string{"ca", "init", "--days", "-1"}},
		{[]string{"audit", "tail", "-n", "-1"}, []string{"audit", "tail", "-n", "-1"}},
		{[]string{"call", "x", "--json", "-1"}, []string{"call", "x", "--json", shield + "-1"}},
		{[]string{"call", "--days", "-1"}, []string{"call", "--days", shield + "-1"}},
	} {
		if diff := cmp.Diff(row.want, shieldNegatives(root, row.in)); diff != "" {
			t.Errorf("%q: -want +got\n%s", row.in, diff)
		}
	}
}
