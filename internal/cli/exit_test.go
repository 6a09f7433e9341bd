package cli_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
)

// TestRun checks the exit code and the text of each kind of error.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		code cli.ExitCode
		text string
	}{
		{nil, 0, ""},
		{cli.ExitFailed, 1, ""},
		{errors.New("two\nlines\x1b"), 1, "hearth: two\n  lines\\u001b\n"},
		{cli.Usagef("FILE is missing"), 2, "hearth: FILE is missing\nsee: hearth --help\n"},
	} {
		root := &cobra.Command{
			Use:           "hearth",
			SilenceErrors: true,
			SilenceUsage:  true,
			RunE:          func(*cobra.Command, []string) error { return tt.err },
		}
		var errOut bytes.Buffer
		root.SetErr(&errOut)
		if code := cli.Run(t.Context(), root, nil); code != tt.code || errOut.String() != tt.text {
			t.Errorf("%v: code %d, %q; want %d, %q", tt.err, code, &errOut, tt.code, tt.text)
		}
	}
}
