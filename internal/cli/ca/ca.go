// Package ca has the commands of a small certificate authority: hearth ca init, issue, renew, revoke and show.
//
// Package transport/ca issues certificates and keeps the authority's folder. This package writes the certificate and
// the private key of a client or host to files, and prints the next steps. issue never overwrites a file, and renew
// replaces each file atomically.
package ca

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/shell"
	"github.com/hearthhost/hearth/transport/ca"
)

const caLong = `A small certificate authority for users without one: it issues the certificates of the host and
of its clients, and keeps the list of revoked ones.

Its folder holds ca.pem, which is client_ca of hosts and ca of clients; ca.key, whose owner can
authenticate as any principal, so keep it off the host if you can; and revoked, which is the list
of a host's setting revoked, and is read again when it changes.`

// Command returns hearth ca with its subcommands.
func Command() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Issue, renew and revoke certificates",
		Long:  caLong,
		Example: `  hearth ca init
  hearth ca issue host --server --dns host.example --ip 192.0.2.1
  hearth ca issue alice
  hearth ca revoke alice`,
		Args: cli.NoSuchCommand,
		RunE: cli.Help,
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", "ca", "the authority's folder")
	cmd.AddCommand(newCAInit(&dir), newCAIssue(&dir), newCARenew(&dir), newCARevoke(&dir), newCAShow(&dir))
	return cmd
}

func newCAInit(dir *string) *cobra.Command {
	var name string
	var validDays int
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create an authority",
		Long: `Create an authority in the folder --dir. A missing folder is created with mode 0700. An existing
authority is never overwritten.`,
		Example: `  hearth ca init --name "Example's hosts"`,
		Args:    cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if validDays < 1 {
				return cli.Usagef("--days %d: use 1 or more", validDays)
			}
			c, err := ca.Init(*dir, name, validDays, time.Now())
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("the authority in %s exists and was not changed; hearth ca show --dir %s prints it",
					*dir, shell.Path(*dir))
			} else if err != nil {
				return fmt.Errorf("creating an authority: %w", err)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "created the authority %q in %s, valid until %s\n",
				name, *dir, c.Certificate().NotAfter.Format(time.DateOnly))
			fmt.Fprintf(w, "next: hearth ca issue host --server --dns NAME, then hearth ca issue CLIENT\n")
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "hearth", "the authority's name")
	cmd.Flags().IntVar(&validDays, "days", ca.DefaultCADays, "validity in days")
	return cmd
}

// caIssue holds the flags of hearth ca issue.
type caIssue struct {
	server bool
	dns    []string
	ips    []string
	uris   []string
	days   int
	out    string
	csr    string
}

func newCAIssue(dir *string) *cobra.Command {
	var f caIssue
	cmd := &cobra.Command{
		Use:   "issue NAME",
		Short: "Issue a certificate to a client, or to a host with --server",
		Long: `Issue a certificate with the common name NAME and write NAME.pem, the certificate and its
authority's, and NAME.key, its private key, into the folder --out. Existing files are
never overwritten. With --csr the private key stays with the author of the signing request. Only
the key of the request is used; the names are those of this command line.`,
		Example: `  hearth ca issue alice
  hearth ca issue build --uri spiffe://example/build --days 30
  hearth ca issue host --server --dns host.example --ip 192.0.2.1
  hearth ca issue alice --csr alice.csr`,
		Args: cli.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.request(args[0])
			if err != nil {
				return err
			}
			if f.out == "" {
				f.out = *dir
			}
			return issueTo(cmd.OutOrStdout(), *dir, f.out, f.csr, r)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.server, "server", false, "certificate of a host, which needs --dns or --ip")
	fl.StringArrayVar(&f.dns, "dns", nil, "a DNS name; may be repeated")
	fl.StringArrayVar(&f.ips, "ip", nil, "an IP address; may be repeated")
	fl.StringArrayVar(&f.uris, "uri", nil, "a URI, such as a SPIFFE id; may be repeated")
	fl.IntVar(&f.days, "days", ca.DefaultLeafDays, "validity in days")
	fl.StringVar(&f.out, "out", "", "folder to write to (default: the authority's)")
	fl.StringVar(&f.csr, "csr", "", "certify the key of this signing request instead of a new one")
	return cmd
}

func (f *caIssue) request(name string) (ca.Request, error) {
	r := ca.Request{Name: name, Kind: ca.Client, DNS: f.dns, Days: f.days}
	if f.server {
		r.Kind = ca.Server
		if len(f.dns)+len(f.ips) == 0 {
			return r, cli.Usagef("--server needs the addresses of the host: --dns NAME or --ip ADDRESS")
		}
	}
	if f.days < 1 {
		return r, cli.Usagef("--days %d: use 1 or more", f.days)
	}
	for _, s := range f.ips {
		ip := net.ParseIP(s)
		if ip == nil {
			return r, cli.Usagef("--ip %s: not an address", s)
		}
		r.IPs = append(r.IPs, ip)
	}
	for _, s := range f.uris {
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" {
			return r, cli.Usagef("--uri %s: not a URI with a scheme, such as spiffe://example/build", s)
		}
		r.URIs = append(r.URIs, u)
	}
	return r, nil
}

// issueTo issues a certificate and writes it, and its key unless csr names a signing request.
func issueTo(w io.Writer, dir, out, csr string, r ca.Request) error {
	c, err := ca.Open(dir)
	if err != nil {
		return err
	}
	certFile, keyFile := filepath.Join(out, r.Name+".pem"), filepath.Join(out, r.Name+".key")
	key, err := keyFor(csr, &r)
	if err != nil {
		return err
	}
	if key == nil {
		keyFile = ""
	}
	// Checked before the certificate is issued: the list must not have certificates that were not written.
	for _, path := range []string{certFile, keyFile} {
		if _, err := os.Lstat(path); err == nil && path != "" {
			return fmt.Errorf("%s exists and was not changed; run hearth ca renew %s, or use another --out",
				path, shell.Quote(r.Name))
		}
	}
	if key != nil {
		text, err := ca.EncodeKey(key)
		if err != nil {
			return err
		}
		if err := safefile.Create(keyFile, text, 0o600); err != nil {
			return fmt.Errorf("writing the private key: %w", err)
		}
	}
	text, one, err := c.Issue(r, time.Now())
	if err != nil {
		if key != nil {
			os.Remove(keyFile)
		}
		return fmt.Errorf("issuing: %w", err)
	}
	if err := safefile.Create(certFile, text, 0o644); err != nil {
		return fmt.Errorf("writing certificate %s: %w", one.Serial, err)
	}
	printIssued(w, dir, certFile, keyFile, one)
	return nil
}

// keyFor sets the key to certify: the key of the signing request csr, or a new key, which it returns.
func keyFor(csr string, r *ca.Request) (crypto.Signer, error) {
	if csr == "" {
		key, err := ca.NewKey()
		if err == nil {
			r.PublicKey = key.Public()
		}
		return key, err
	}
	text, err := os.ReadFile(csr) //nolint:gosec // a path of the command line
	if err != nil {
		return nil, err
	}
	public, err := ca.ReadRequest(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", csr, err)
	}
	r.PublicKey = public
	return nil, nil //nolint:nilnil // no new key
}

// printIssued prints the written files and the next steps.
func printIssued(w io.Writer, dir, certFile, keyFile string, one *ca.Issued) {
	fmt.Fprintf(w, "wrote %s, valid until %s, serial %s\n", certFile, one.Until.Format(time.DateOnly), one.Serial)
	if keyFile != "" {
		fmt.Fprintf(w, "wrote %s, its private key\n", keyFile)
	}
	if one.Kind == ca.Server {
		fmt.Fprintf(w, "next: in a listener of policy.hcl: "+
			"tls { cert = %q, key = %q, client_ca = %q, revoked = %q }, one a line\n",
			certFile, keyFile, filepath.Join(dir, ca.CertFile), filepath.Join(dir, ca.RevokedFile))
		return
	}
	fmt.Fprintf(w, "next: cert { common_name = %q } in a principal of policy.hcl; for the client these files and %s,\n",
		one.Name, filepath.Join(dir, ca.CertFile))
	fmt.Fprintf(w, "      and the profile "+
		"{\"address\": \"…\", \"channel\": \"tls\", \"ca\": %q, \"cert\": %q, \"cert_key\": %q}\n",
		ca.CertFile, filepath.Base(certFile), one.Name+".key")
}

func newCARenew(dir *string) *cobra.Command {
	var f caIssue
	cmd := &cobra.Command{
		Use:   "renew NAME|SERIAL",
		Short: "Issue a certificate again, with new dates and a new key",
		Long: `Issue a certificate with the names of an earlier one, and replace NAME.pem and NAME.key in the
folder --out, each atomically. The old certificate stays valid until its end; revoke it by its
serial number if necessary.`,
		Example: `  hearth ca renew host`,
		Args:    cli.ExactArgs("NAME|SERIAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.out == "" {
				f.out = *dir
			}
			return f.renew(cmd.OutOrStdout(), *dir, args[0])
		},
	}
	cmd.Flags().IntVar(&f.days, "days", ca.DefaultLeafDays, "validity in days")
	cmd.Flags().StringVar(&f.out, "out", "", "folder to write to (default: the authority's)")
	cmd.Flags().StringVar(&f.csr, "csr", "", "certify the key of this signing request instead of a new one")
	return cmd
}

func (f *caIssue) renew(w io.Writer, dir, which string) error {
	c, err := ca.Open(dir)
	if err != nil {
		return err
	}
	old, err := c.Newest(which)
	if err != nil {
		return err
	}
	if old == nil {
		return fmt.Errorf("no certificate has the name or serial number %s; hearth ca show lists them", which)
	}
	f.server, f.dns, f.ips, f.uris = old.Kind == ca.Server, old.DNS, old.IPs, old.URIs
	r, err := f.request(old.Name)
	if err != nil {
		return err
	}
	certFile, keyFile := filepath.Join(f.out, r.Name+".pem"), filepath.Join(f.out, r.Name+".key")
	key, err := keyFor(f.csr, &r)
	if err != nil {
		return err
	}
	if key == nil {
		keyFile = ""
	}
	text, one, err := c.Issue(r, time.Now())
	if err != nil {
		return fmt.Errorf("issuing: %w", err)
	}
	if key != nil {
		keyPEM, err := ca.EncodeKey(key)
		if err != nil {
			return err
		}
		// A host that reads the files between the two writes finds that they do not match, keeps its old
		// ones, and reads again.
		if err := safefile.Replace(keyFile, keyPEM, 0o600); err != nil {
			return err
		}
	}
	if err := safefile.Replace(certFile, text, 0o644); err != nil {
		return err
	}
	printIssued(w, dir, certFile, keyFile, one)
	return nil
}

func newCARevoke(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME|SERIAL",
		Short: "Revoke a certificate",
		Long: `Add the serial number of a certificate to the list revoked in the authority's folder. A running
host whose policy names this file rejects the certificate within a second, and closes its
connections. Other hosts need a copy of the file.`,
		Example: `  hearth ca revoke alice
  hearth ca revoke 4f3a9c12…`,
		Args: cli.ExactArgs("NAME|SERIAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := ca.Open(*dir)
			if err != nil {
				return err
			}
			now := time.Now()
			found, err := c.Find(args[0], now)
			if errors.Is(err, ca.ErrAmbiguous) {
				var lines []string
				for _, one := range found {
					lines = append(lines, fmt.Sprintf("%s, until %s", one.Serial, one.Until.Format(time.DateOnly)))
				}
				return fmt.Errorf("%s has several certificates; revoke one by its serial number:\n%s",
					args[0], strings.Join(lines, "\n"))
			} else if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if found[0].Revoked {
				fmt.Fprintf(w, "%s was revoked before\n", found[0].Serial)
				return nil
			}
			if err := c.Revoke(found[0], now); err != nil {
				return fmt.Errorf("revoking: %w", err)
			}
			fmt.Fprintf(w, "revoked %s of %s: hosts that read %s reject it within a second\n",
				found[0].Serial, found[0].Name, filepath.Join(*dir, ca.RevokedFile))
			return nil
		},
	}
}

// shownCert is a row of hearth ca show.
type shownCert struct {
	*ca.Issued
	State string `json:"state"` // valid, expires soon, expired, revoked
}

func newCAShow(dir *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the authority and its certificates",
		Long: `Show the authority and every issued certificate with its name, end and state. Certificates that end
within two weeks have a warning.`,
		Example: `  hearth ca show
  hearth ca show --json`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := ca.Open(*dir)
			if err != nil {
				return err
			}
			all, err := c.Issued()
			if err != nil {
				return err
			}
			return showCA(cmd.OutOrStdout(), c, all, asJSON, time.Now())
		},
	}
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

func showCA(w io.Writer, c *ca.CA, all []*ca.Issued, asJSON bool, now time.Time) error {
	own := c.Certificate()
	rows := []shownCert{}
	for _, one := range all {
		state := stateAt(one.Until, now)
		if one.Revoked {
			state = "revoked"
		}
		rows = append(rows, shownCert{one, state})
	}
	if asJSON {
		return display.JSON(w, map[string]any{
			"name":         own.Subject.CommonName,
			"until":        own.NotAfter.UTC(),
			"state":        stateAt(own.NotAfter, now),
			"certificates": rows,
		})
	}
	fmt.Fprintf(w, "authority %q, valid until %s (%s)\n",
		own.Subject.CommonName, own.NotAfter.Format(time.DateOnly), stateAt(own.NotAfter, now))
	if len(rows) == 0 {
		fmt.Fprintln(w, "no certificates yet; issue one with hearth ca issue NAME")
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SERIAL\tNAME\tKIND\tUNTIL\tSTATE")
	for _, r := range rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r.Serial, r.Name, r.Kind, r.Until.Format(time.DateOnly), r.State)
	}
	return tw.Flush()
}

// stateAt returns the state of a certificate that ends at until.
func stateAt(until, now time.Time) string {
	switch left := until.Sub(now); {
	case left <= 0:
		return "expired"
	case left < 24*time.Hour:
		return "expires soon: within a day"
	case left < ca.Soon:
		return fmt.Sprintf("expires soon: in %s", display.Days(left))
	}
	return "valid"
}
