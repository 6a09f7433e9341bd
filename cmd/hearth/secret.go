package main

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

	"github.com/hearthhost/hearth/internal/secretfile"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

func newSecret() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Set, rotate and list the secrets of objects",
		Long: `Write and list the secrets of objects: passwords and tokens that scripts read by
hearth.secret("name") instead of holding them. The policy says in which file a secret is
and which objects of its tenant may have it:

  tenant "acme" {
    secret "smtp" {
      file    = "secrets/smtp"
      objects = ["acme.mailer"]
    }
  }

With age = "secrets/smtp.age" instead of file, and identity = "keys/host.age" at the top of the
policy, the file is encrypted. Values are never printed, and never taken from the command line.`,
		Example: `  hearth secret set smtp
  hearth secret list
  pass show smtp | hearth secret rotate smtp`,
		Args: noSuchVerb,
		RunE: help,
	}
	cmd.AddCommand(newSecretSet(), newSecretRotate(), newSecretList())
	return cmd
}

// secretFlags are the flags of hearth secret set and rotate.
type secretFlags struct {
	policyFlags
	tenant, from string
}

func (f *secretFlags) add(cmd *cobra.Command) {
	f.policyFlags.add(cmd)
	cmd.Flags().StringVar(&f.tenant, "tenant", "", "the secret's tenant, where several have one of this name")
	cmd.Flags().StringVar(&f.from, "file", "", "take the value from this file, every byte of it")
}

func newSecretSet() *cobra.Command {
	var f secretFlags
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Write a secret into the file that the policy names",
		Long: `Write a secret into the file that the policy names, in one step and with mode 0600; encrypted
if the policy says age. The value is asked for on a terminal, which does not show it, or read
from standard input; the line's end after it is left out. A file that exists is replaced.
Run it as the host's user: the host takes no file of anybody else.`,
		Example: `  hearth secret set smtp
  pass show smtp | hearth secret set smtp --tenant acme
  hearth secret set tls-key --file key.pem`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.find(args[0])
			if err != nil {
				return err
			}
			if err := f.write(cmd, s); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: secret %s of tenant %s, for %s\n", s.Path, s.Name, s.Tenant, some(s.Objects))
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
		Long: `Replace the value of a secret, like set, if there is one already. Running hosts read it within
a second; objects get it the next time they call hearth.secret, without a restart.`,
		Example: `  hearth secret rotate smtp
  pass show smtp | hearth secret rotate smtp --tenant acme`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.find(args[0])
			if err != nil {
				return err
			}
			if _, err := os.Stat(s.Path); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("secret %s of tenant %s has no value yet (%s is not there): hearth secret set %s", s.Name, s.Tenant, s.Path, s.Name)
			} else if err != nil {
				return err
			}
			if err := f.write(cmd, s); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: hosts read it within a second, and %s at the next hearth.secret(%q)\n", s.Path, some(s.Objects), s.Name)
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

// find returns the one secret of a name that the policy has.
func (f *secretFlags) find(name string) (policy.Secret, error) {
	p, from, err := f.loadUntested() // a secret can be written before the rest is right
	if err != nil {
		return policy.Secret{}, err
	}
	found := slices.DeleteFunc(slices.Clone(p.Secrets), func(s policy.Secret) bool {
		return s.Name != name || f.tenant != "" && s.Tenant != object.Tenant(f.tenant)
	})
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		tenant := f.tenant
		if tenant == "" {
			tenant = "…"
		}
		return policy.Secret{}, fmt.Errorf("%s has no such secret: write secret %q { file = \"secrets/%s\", objects = [\"…\"] } on lines of their own in tenant %q", from, name, name, tenant)
	}
	var tenants []string
	for _, s := range found {
		tenants = append(tenants, string(s.Tenant))
	}
	return policy.Secret{}, usagef("tenants %s have a secret %s: say which by --tenant", strings.Join(tenants, ", "), name)
}

// write reads a value and puts it into a secret's file.
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

// value reads the value from where it was said to be.
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
		if line, asked, err := readSilently(in, cmd.ErrOrStderr(), "value (is not shown): "); asked {
			return withoutLineEnd(line), err
		}
	}
	value, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), secretfile.MaxBytes+3))
	return withoutLineEnd(value), err
}

// withoutLineEnd leaves out one line's end, which whoever typed or piped did not mean.
func withoutLineEnd(b []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
}

// listedSecret is a row of hearth secret list.
type listedSecret struct {
	Tenant    object.Tenant `json:"tenant"`
	Name      string        `json:"name"`
	Objects   []object.ID   `json:"objects"`
	File      string        `json:"file"`
	Encrypted bool          `json:"encrypted"`
	Written   *time.Time    `json:"written"` // null: there is no file
}

func newSecretList() *cobra.Command {
	var f policyFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the secrets of the policy, without their values",
		Long: `List the secrets of the policy: name, tenant, the objects that may have it, the file and how
long ago it was written. The files are not opened.`,
		Example: `  hearth secret list
  hearth secret list --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, _, err := f.loadUntested()
			if err != nil {
				return err
			}
			rows := []listedSecret{}
			for _, s := range p.Secrets {
				row := listedSecret{Tenant: s.Tenant, Name: s.Name, Objects: s.Objects, File: s.Path, Encrypted: s.Identity != ""}
				if info, err := os.Stat(s.Path); err == nil {
					at := info.ModTime().UTC().Truncate(time.Second)
					row.Written = &at
				}
				rows = append(rows, row)
			}
			return printSecrets(cmd.OutOrStdout(), rows, asJSON)
		},
	}
	f.add(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printSecrets(w io.Writer, rows []listedSecret, asJSON bool) error {
	if asJSON {
		return printJSON(w, rows)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TENANT\tNAME\tFILE\tENCRYPTED\tAGE\tOBJECTS")
	for _, r := range rows {
		age, encrypted := "missing: hearth secret set "+r.Name, "no"
		if r.Written != nil {
			age = days(time.Since(*r.Written))
		}
		if r.Encrypted {
			encrypted = "age"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Tenant, r.Name, r.File, encrypted, age, some(r.Objects))
	}
	return tw.Flush()
}
