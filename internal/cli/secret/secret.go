// Package secret has the commands for the secrets of objects: hearth secret set, rotate and list.
//
// The policy names the file of a secret, and whether it is encrypted. A value is read from a terminal without echo,
// from standard input or from a file, and never from the command line, which other users of the machine can read. No
// command prints a value. Package internal/secretfile writes the file atomically.
package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/internal/secretfile"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Command returns hearth secret with its subcommands.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Set, rotate and list the secrets of objects",
		Long: `Write and list the secrets of objects: passwords and tokens that scripts read with
hearth.secret("name") instead of containing them. The policy names the file of a secret and the
objects of its tenant that may read it:

  tenant "acme" {
    secret "smtp" {
      file    = "secrets/smtp"
      objects = ["acme.mailer"]
    }
  }

An egress block can add a secret to requests; without objects no script can read it then.
With age = "secrets/smtp.age" instead of file, and identity = "keys/host.age" at the top of the
policy, the file is encrypted. Values are never printed, and never read from the command line.`,
		Example: `  hearth secret set smtp
  hearth secret list
  pass show smtp | hearth secret rotate smtp`,
		Args: cli.NoSuchCommand,
		RunE: cli.Help,
	}
	cmd.AddCommand(newSecretSet(), newSecretRotate(), newSecretList())
	return cmd
}

// secretFlags are the flags of hearth secret set and rotate.
type secretFlags struct {
	policyflag.Flags
	tenant, from string
}

func (f *secretFlags) add(cmd *cobra.Command) {
	f.Flags.Add(cmd)
	cmd.Flags().StringVar(&f.tenant, "tenant", "", "tenant of the secret, if several have a secret of this name")
	cmd.Flags().StringVar(&f.from, "file", "", "read the value from this file, unchanged")
}

func newSecretSet() *cobra.Command {
	var f secretFlags
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Write a secret into the file that the policy names",
		Long: `Write a secret atomically into the file that the policy names, with mode 0600, and encrypted if the
policy has age. The value is read from a terminal without echo, or from standard input, without the
last newline. An existing file is replaced. Run it as the host's user: the host reads no secret of
another user.`,
		Example: `  hearth secret set smtp
  pass show smtp | hearth secret set smtp --tenant acme
  hearth secret set tls-key --file key.pem`,
		Args: cli.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, used, err := f.find(args[0])
			if err != nil {
				return err
			}
			if err := f.write(cmd, s); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: secret %s of tenant %s, for %s\n",
				s.Path, s.Name, s.Tenant, used)
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func newSecretRotate() *cobra.Command {
	var f secretFlags
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Replace a secret that exists",
		Long: `Replace the value of a secret, like set, if it has one. Running hosts read it within a second, and
objects at the next call of hearth.secret, without a restart.`,
		Example: `  hearth secret rotate smtp
  pass show smtp | hearth secret rotate smtp --tenant acme`,
		Args: cli.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, used, err := f.find(args[0])
			if err != nil {
				return err
			}
			if _, err := os.Stat(s.Path); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("secret %s of tenant %s has no value yet (%s not found); run hearth secret set %s",
					s.Name, s.Tenant, s.Path, s.Name)
			} else if err != nil {
				return err
			}
			if err := f.write(cmd, s); err != nil {
				return err
			}
			var uses []string
			if len(s.Objects) > 0 {
				uses = append(uses, fmt.Sprintf("%s at the next hearth.secret(%q)", display.List(s.Objects), s.Name))
			}
			if len(used.Egress) > 0 {
				uses = append(uses, "egress "+strings.Join(used.Egress, ", ")+" at the next request")
			}
			if len(used.Webhooks) > 0 {
				uses = append(uses, "webhook "+strings.Join(used.Webhooks, ", ")+" at the next request")
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: hosts read it within a second, and %s\n",
				s.Path, strings.Join(uses, ", "))
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

// find returns the policy's secret of a name, and its users.
func (f *secretFlags) find(name string) (policy.Secret, users, error) {
	p, from, err := f.LoadUntested() // a secret can be written before the rest of the policy is valid
	if err != nil {
		return policy.Secret{}, users{}, err
	}
	found := slices.DeleteFunc(slices.Clone(p.Secrets), func(s policy.Secret) bool {
		return s.Name != name || f.tenant != "" && s.Tenant != object.Tenant(f.tenant)
	})
	switch len(found) {
	case 1:
		return found[0], usersOf(p, &found[0]), nil
	case 0:
		tenant := f.tenant
		if tenant == "" {
			tenant = "…"
		}
		return policy.Secret{}, users{}, fmt.Errorf("%s has no such secret; add secret %q "+
			"{ file = \"secrets/%s\", objects = [\"…\"] } on separate lines in tenant %q", from, name, name, tenant)
	}
	var tenants []string
	for _, s := range found {
		tenants = append(tenants, string(s.Tenant))
	}
	return policy.Secret{}, users{}, cli.Usagef("tenants %s have a secret %s; select one with --tenant",
		strings.Join(tenants, ", "), name)
}

// write reads a value and writes it into the file of a secret.
func (f *secretFlags) write(cmd *cobra.Command, s policy.Secret) error {
	value, err := f.value(cmd)
	if err != nil {
		return fmt.Errorf("reading the value: %w", err)
	}
	if err := secretfile.Write(s.Path, s.Identity, value); err != nil {
		return fmt.Errorf("writing secret %s: %w", s.Name, err)
	}
	return nil
}

// value reads the value from the file of --file, a terminal or standard input.
func (f *secretFlags) value(cmd *cobra.Command) ([]byte, error) {
	if f.from != "" {
		in, err := os.Open(f.from)
		if err != nil {
			return nil, err
		}
		defer in.Close()
		return io.ReadAll(io.LimitReader(in, secretfile.MaxBytes+1))
	}
	if in, ok := cmd.InOrStdin().(*os.File); ok {
		if line, ok, err := readSilently(in, cmd.ErrOrStderr(), "value (no echo): "); ok {
			return withoutLineEnd(line), err
		}
	}
	value, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), secretfile.MaxBytes+3))
	return withoutLineEnd(value), err
}

// withoutLineEnd removes one newline at the end, which is not a part of a typed or piped value.
func withoutLineEnd(b []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
}

// listedSecret is a row of hearth secret list.
type listedSecret struct {
	Tenant object.Tenant `json:"tenant"`
	Name   string        `json:"name"`
	users
	File      string     `json:"file"`
	Encrypted bool       `json:"encrypted"`
	Written   *time.Time `json:"written"` // null without a file
}

func newSecretList() *cobra.Command {
	var f policyflag.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the secrets of the policy, without their values",
		Long: `List the secrets of the policy: name, tenant, the file and its age, the objects that may read it, and
the egress blocks that add it to requests. The files are not opened.`,
		Example: `  hearth secret list
  hearth secret list --json`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, _, err := f.LoadUntested()
			if err != nil {
				return err
			}
			rows := []listedSecret{}
			for _, s := range p.Secrets {
				row := listedSecret{
					Tenant:    s.Tenant,
					Name:      s.Name,
					users:     usersOf(p, &s),
					File:      s.Path,
					Encrypted: s.Identity != "",
				}
				if info, err := os.Stat(s.Path); err == nil {
					at := info.ModTime().UTC().Truncate(time.Second)
					row.Written = &at
				}
				rows = append(rows, row)
			}
			return printSecrets(cmd.OutOrStdout(), rows, asJSON)
		},
	}
	f.Add(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

// users are the parts of a policy that use a secret.
type users struct {
	Objects  []object.ID `json:"objects"`            // that can read it
	Egress   []string    `json:"egress,omitempty"`   // blocks that add it to requests
	Webhooks []string    `json:"webhooks,omitempty"` // blocks whose requests it proves
}

func usersOf(p *policy.Policy, s *policy.Secret) users {
	u := users{Objects: s.Objects, Webhooks: p.WebhooksUsing(s)}
	for _, b := range p.EgressUsing(s) {
		u.Egress = append(u.Egress, b.Name)
	}
	return u
}

func (u users) String() string {
	var out []string
	if len(u.Objects) > 0 {
		out = append(out, display.List(u.Objects))
	}
	if len(u.Egress) > 0 {
		out = append(out, "egress "+strings.Join(u.Egress, ", "))
	}
	if len(u.Webhooks) > 0 {
		out = append(out, "webhook "+strings.Join(u.Webhooks, ", "))
	}
	return strings.Join(out, "; ")
}

func printSecrets(w io.Writer, rows []listedSecret, asJSON bool) error {
	if asJSON {
		return display.JSON(w, rows)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TENANT\tNAME\tFILE\tENCRYPTED\tAGE\tUSED BY")
	for _, r := range rows {
		age, encrypted := "missing; run hearth secret set "+r.Name, "no"
		if r.Written != nil {
			age = display.Days(time.Since(*r.Written))
		}
		if r.Encrypted {
			encrypted = "age"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Tenant, r.Name, r.File, encrypted, age, r.users)
	}
	return tw.Flush()
}
