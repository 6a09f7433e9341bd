package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/admin"
	"github.com/hearthhost/hearth/internal/cli/display"
)

// tenantAndFile requires a TENANT, and accepts a FILE.
func tenantAndFile(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return cli.Usagef("TENANT is missing")
	case len(args) > 2:
		return cli.Usagef("unexpected argument %q", args[2])
	}
	return nil
}

// lineCounter counts the lines that are written.
type lineCounter struct {
	w io.Writer
	n int
}

func (c *lineCounter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += bytes.Count(b[:n], []byte("\n"))
	return n, err
}

func newExport() *cobra.Command {
	var socket admin.Socket
	cmd := &cobra.Command{
		Use:   "export TENANT [FILE]",
		Short: "Write the keys of a tenant as lines of JSON",
		Long: `Write all keys of a tenant, as they are at one moment, as lines of JSON: to a new file with mode 0600,
or to standard output. Calls continue meanwhile. A line has the fields object, key, value, version
and, if the key expires, expires:

  {"object":"acme.counter","key":"total","value":5,"version":12}

Replies that are stored for idempotency keys are left out; hearth store backup copies them too.`,
		Example: `  hearth store export acme acme.jsonl
  hearth store export acme | grep '"object":"acme.cart:alice"'`,
		Args: tenantAndFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := admin.Request{
				Method:   http.MethodGet,
				Resource: admin.Resource("/v1/store/export", "tenant", args[0]),
				Long:     true,
			}
			if len(args) == 1 {
				return socket.Copy(cmd.Context(), r, cmd.OutOrStdout())
			}
			count := &lineCounter{}
			err := create(args[1], func(to io.Writer) error {
				count.w = to
				return socket.Copy(cmd.Context(), r, count)
			})
			if err == nil {
				keys := display.Plural(count.n, "key")
				fmt.Fprintf(cmd.OutOrStdout(), "exported %s of %s to %s\n", keys, args[0], args[1])
			}
			return err
		},
	}
	socket.AddFlags(cmd)
	return cmd
}

func newImport() *cobra.Command {
	var socket admin.Socket
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import TENANT [FILE]",
		Short: "Store keys from lines of JSON",
		Long: `Store the keys of a file that hearth store export has written, or of standard input, in one
transaction: all of them, or none if a line is malformed or a limit of the policy is exceeded. The
error has the number of the line. Keys that exist are replaced, other keys remain. If a key occurs
twice, its last line counts. Keys that have expired are left out.

Each key gets a new version, greater than all versions in the file: a version that a client has read
before belongs to no other value. Other writes of the tenant wait while the keys are stored.`,
		Example: `  hearth store import acme acme.jsonl
  hearth store export acme | hearth store import acme --socket /other/state/admin.sock`,
		Args: tenantAndFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, body := "standard input", cmd.InOrStdin()
			if len(args) == 2 {
				name = args[1]
				f, err := os.Open(name)
				if err != nil {
					return err
				}
				defer f.Close() //nolint:errcheck // it was only read
				body = f
			}
			var done struct {
				Imported int `json:"imported"`
			}
			r := admin.Request{
				Method:   http.MethodPost,
				Resource: admin.Resource("/v1/store/import", "tenant", args[0]),
				Body:     body,
				Long:     true,
			}
			err := socket.Do(cmd.Context(), r, &done)
			var failed *admin.HostError
			switch {
			case errors.As(err, &failed) && failed.Line > 0:
				return fmt.Errorf("%s:%d: %s\nnothing was imported", name, failed.Line, failed.Msg)
			case err != nil:
				return err
			case asJSON:
				return display.JSON(cmd.OutOrStdout(), done)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "imported %s into %s\n", display.Plural(done.Imported, "key"), args[0])
			return nil
		},
	}
	socket.AddFlags(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}
