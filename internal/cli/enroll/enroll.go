// Package enroll has the commands for enrolment tokens: hearth enroll new, list and revoke on the host, and hearth
// enroll join on the machine of the client.
//
// Package transport/enroll has the tokens, which are files in the host's state folder. Package client/join makes the
// exchange and writes the client's files. A token is printed on standard output only, so that it can be redirected
// without the hints for the operator.
package enroll

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/internal/cli/remote"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/enroll"
)

const enrollLong = `Give a client a key or certificate by a one-time token, without transporting secrets. On the host,
hearth enroll new PRINCIPAL creates a token. On the client's machine, hearth enroll join ADDRESS
TOKEN creates a key that never leaves the machine, and writes the files and the profile for the Go
client, the Python client and hearth --profile. The token is bound to the first key that is created
with it. Joining again from the same folder is possible, for example after a lost reply.

The policy needs a block enroll { }, with ca = "folder" for certificates, and a listener with "hmac"
in identify. The authority's key is then on the host.`

// maxTokenValid is the longest validity of a token.
const maxTokenValid = 30 * 24 * time.Hour

// Command returns hearth enroll with its subcommands.
func Command(r *remote.Remote) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "Give a client its key or certificate by a one-time token",
		Long:  enrollLong,
		Example: `  hearth enroll new alice
  hearth enroll join host.example:7767 hearth-enroll-1.cert.enroll-….…`,
		Args: cli.NoSuchCommand,
		RunE: cli.Help,
	}
	cmd.AddCommand(newEnrollNew(), newEnrollList(), newEnrollRevoke(), newEnrollJoin(r))
	return cmd
}

func newEnrollNew() *cobra.Command {
	var f policyflag.Flags
	var key bool
	var valid time.Duration
	cmd := &cobra.Command{
		Use:   "new PRINCIPAL",
		Short: "Create a token for a principal of the policy",
		Long: `Create a token with which a client becomes a principal: by a certificate, or by a key with --key. It
is valid until it is used, and for --valid at most. Its owner can become the principal, so protect it
like a password. A running host accepts it within a second.`,
		Example: `  hearth enroll new alice
  hearth enroll new alice --key --valid 10m`,
		Args: cli.ExactArgs("PRINCIPAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if valid <= 0 || valid > maxTokenValid {
				return cli.Usagef("--valid %s: use more than 0 and at most %s", valid, maxTokenValid)
			}
			p, _, err := f.Load()
			if err != nil {
				return err
			}
			kind := enroll.Cert
			if key {
				kind = enroll.Key
			}
			if err := host.CheckEnroll(p, object.Principal(args[0]), kind); err != nil {
				return err
			}
			t, err := enroll.New(credential.TokenFolder(p), args[0], kind, valid, time.Now())
			if err != nil {
				return fmt.Errorf("writing the token: %w", err)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintln(w, t.Text())
			fmt.Fprintf(cmd.ErrOrStderr(), "a token for %s, valid until %s\nnext, on the client's machine: "+
				"hearth enroll join ADDRESS -   (the token on its standard input)\n",
				args[0], t.Expires.Format(time.RFC3339))
			return nil
		},
	}
	f.AddFile(cmd)
	cmd.Flags().BoolVar(&key, "key", false, "for a key of the HMAC channel instead of a certificate")
	cmd.Flags().DurationVar(&valid, "valid", time.Hour, "validity")
	return cmd
}

// listedToken is a row of hearth enroll list.
type listedToken struct {
	ID        string      `json:"id"`
	Principal string      `json:"principal"`
	Kind      enroll.Kind `json:"kind"`
	Expires   time.Time   `json:"expires"`
	Used      bool        `json:"used"`
}

func newEnrollList() *cobra.Command {
	var f policyflag.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens of a host",
		Long:  `List the tokens of a host: principal, expiry, and whether they were used.`,
		Example: `  hearth enroll list
  hearth enroll list --json`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, _, err := f.Load()
			if err != nil {
				return err
			}
			all, err := enroll.List(credential.TokenFolder(p))
			rows := []listedToken{}
			for _, t := range all {
				rows = append(rows, listedToken{t.ID, t.Principal, t.Kind, t.Expires, t.Client != ""})
			}
			return errors.Join(printTokens(cmd.OutOrStdout(), rows, asJSON, time.Now()), err)
		},
	}
	f.AddFile(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

func printTokens(w io.Writer, rows []listedToken, asJSON bool, now time.Time) error {
	if asJSON {
		return display.JSON(w, rows)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TOKEN\tPRINCIPAL\tFOR\tUNTIL\tSTATE")
	for _, r := range rows {
		state := "unused"
		switch {
		case r.Used:
			state = "used"
		case now.After(r.Expires):
			state = "expired"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r.ID, r.Principal, r.Kind, r.Expires.Format(time.RFC3339), state)
	}
	return tw.Flush()
}

func newEnrollRevoke() *cobra.Command {
	var f policyflag.Flags
	cmd := &cobra.Command{
		Use:   "revoke TOKEN-ID",
		Short: "Remove a token",
		Long: `Remove a token, used or not. The key or certificate that it was exchanged for stays valid: revoke it
with hearth key revoke or hearth ca revoke.`,
		Example: `  hearth enroll revoke enroll-3f9a2c1b`,
		Args:    cli.ExactArgs("TOKEN-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, _, err := f.Load()
			if err != nil {
				return err
			}
			if err := enroll.Remove(credential.TokenFolder(p), args[0]); errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("token %s not found; hearth enroll list lists tokens", args[0])
			} else if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", args[0])
			return nil
		},
	}
	f.AddFile(cmd)
	return cmd
}
