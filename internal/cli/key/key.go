// Package key has the commands for files of HMAC and bearer keys: hearth key new, list, rotate and revoke.
//
// Package transport/keyfile has the format of the files and their atomic update. A file is never overwritten by a new
// one. The token of a new bearer key is printed once, and no other command prints a secret. A running host reads a
// changed file within a second.
package key

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/shell"
	"github.com/hearthhost/hearth/transport/keyfile"
)

const keyLong = `Create and manage key files. A key authenticates a principal.

A key of the HMAC channel: the host's policy names the file in keys = ["…"] of the principal, and
its client has a copy. Any user who can read the file is that principal, so it has mode 0600 and
belongs to the user who reads it.

A bearer key (--bearer), for HTTP: the policy names the file in bearer = ["…"] of the principal. The
client sends the key's token in each request. The file has the token's SHA-256 only.

A file may hold several keys of one kind. Clients use the first; the host accepts all. To rotate
without a failed call: hearth key rotate, copy the file to the client, then hearth key
revoke the old id. A running host applies the change within a second.`

// Command returns hearth key with its subcommands.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Create, list, rotate and revoke HMAC and bearer keys",
		Long:  keyLong,
		Example: `  hearth key new keys/alice.key
  hearth key new --bearer keys/ci.bearer
  hearth key rotate keys/alice.key
  hearth key list keys/*.key`,
		Args: cli.NoSuchCommand,
		RunE: cli.Help,
	}
	cmd.AddCommand(newKeyNew(), newKeyList(), newKeyRotate(), newKeyRevoke())
	return cmd
}

func newKeyNew() *cobra.Command {
	var id string
	var bearer bool
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Write a new key file",
		Long: `Write a new file with one key. An existing file is never overwritten. Missing folders are
created with mode 0700.

With --bearer, standard output is the token of the key, and nothing else. It is shown once: the
file has its SHA-256 only.`,
		Example: `  hearth key new keys/alice.key
  hearth key new --bearer keys/ci.bearer`,
		Args: cli.ExactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, token, err := makeKey(args[0], id, bearer)
			if err != nil {
				return err
			}
			if err := keyfile.Create(args[0], k); errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s exists and was not changed; hearth key rotate adds a key to it", args[0])
			} else if err != nil {
				return fmt.Errorf("writing a key file: %w", err)
			}
			if bearer {
				w := cmd.ErrOrStderr()
				fmt.Fprintf(w, "wrote %s with bearer key %s\n", args[0], k.ID)
				fmt.Fprintf(w, "next: bearer = [%q] in a principal of policy.hcl, and a listener with "+
					"protocol = \"http\";\n", args[0])
				fmt.Fprintf(w, "      its client sends \"Authorization: Bearer TOKEN\". The token is shown once:\n")
				fmt.Fprintln(cmd.OutOrStdout(), token)
				return nil
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "wrote %s with key %s\n", args[0], k.ID)
			fmt.Fprintf(w, "next: keys = [%q] in a principal of policy.hcl, and \"hmac\" in identify of a listener;\n",
				args[0])
			fmt.Fprintf(w, "      a copy of the file, mode 0600, for the client: "+
				"{\"address\": \"…\", \"channel\": \"hmac\", \"key\": %q} is its profile\n", filepath.Base(args[0]))
			return nil
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "the key's id (default: the file's name and eight random digits)")
	cmd.Flags().BoolVar(&bearer, "bearer", false, "make a bearer key, for HTTP, and print its token")
	return cmd
}

// makeKey creates a key for a file. token is the token of a bearer key.
func makeKey(path, id string, bearer bool) (k keyfile.Key, token string, err error) {
	if id == "" {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		id = base + "-" + hex.EncodeToString(b[:])
	}
	if bearer {
		k, token, err = keyfile.NewBearer(id, time.Now())
	} else {
		k, err = keyfile.New(id, time.Now())
	}
	if err != nil {
		return k, "", cli.Usagef("%w; use --id for another id", err)
	}
	return k, token, nil
}

// listedKey is a row of hearth key list.
type listedKey struct {
	File    string    `json:"file"`
	ID      string    `json:"id"`
	Kind    string    `json:"kind"` // "hmac" or "bearer"
	Created time.Time `json:"created"`
	First   bool      `json:"first"` // clients use this key
}

func newKeyList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list FILE...",
		Short: "List the keys of files, without their secrets",
		Long: `List the keys of files: id, date of creation, and users. Unreadable files are reported on standard
error and make the exit code 1; the other files are listed.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Usagef("FILE is missing")
			}
			return nil
		},
		Example: `  hearth key list keys/*.key`,
		RunE: func(cmd *cobra.Command, args []string) error {
			rows := []listedKey{}
			var problems []error
			for _, path := range args {
				keys, err := keyfile.ReadAny(path)
				if err != nil {
					problems = append(problems, err)
				}
				for i, k := range keys {
					kind := "hmac"
					if k.Bearer {
						kind = "bearer"
					}
					rows = append(rows, listedKey{path, k.ID, kind, k.Created, i == 0 && !k.Bearer})
				}
			}
			if len(rows) > 0 || asJSON || len(problems) == 0 {
				if err := printKeys(cmd.OutOrStdout(), rows, asJSON); err != nil {
					return err
				}
			}
			return errors.Join(problems...)
		},
	}
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

func printKeys(w io.Writer, rows []listedKey, asJSON bool) error {
	if asJSON {
		return display.JSON(w, rows)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "FILE\tID\tKIND\tCREATED\tAGE\tUSED BY")
	for _, r := range rows {
		users := "hosts"
		if r.First {
			users = "clients and hosts"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n",
			r.File, r.ID, r.Kind, r.Created.Format(time.DateOnly), display.Days(time.Since(r.Created)), users)
	}
	return tw.Flush()
}

func newKeyRotate() *cobra.Command {
	var id string
	var bearer bool
	cmd := &cobra.Command{
		Use:   "rotate FILE",
		Short: "Add a new first key to a file; the others stay valid",
		Long: `Add a new first key to a file: clients use the first key. The host still accepts the others, so no
call fails before the client has the new file. In a file of bearer keys the new key is one too, and
standard output is its token, shown once; --bearer is needed if the file has no key.`,
		Example: `  hearth key rotate keys/alice.key`,
		Args:    cli.ExactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keys, err := keyfile.ReadAny(args[0]); err == nil && len(keys) > 0 {
				bearer = keys[0].Bearer
			}
			k, token, err := makeKey(args[0], id, bearer)
			if err != nil {
				return err
			}
			var old []string
			if err := keyfile.Update(args[0], func(keys []keyfile.Key) ([]keyfile.Key, error) {
				for _, o := range keys {
					if o.ID == k.ID {
						return nil, fmt.Errorf("key id %s is already in %s", k.ID, args[0])
					}
					old = append(old, o.ID)
				}
				return append([]keyfile.Key{k}, keys...), nil
			}); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("key file %s not found; hearth key new creates one", args[0])
			} else if err != nil {
				return fmt.Errorf("rotating: %w", err)
			}
			w := cmd.OutOrStdout()
			if bearer {
				w = cmd.ErrOrStderr()
			}
			fmt.Fprintf(w, "%s: key %s is the first key now\n", args[0], k.ID)
			if bearer {
				if len(old) > 0 {
					fmt.Fprintf(w, "next: give the token to its client, then: hearth key revoke %s %s\n",
						shell.Path(args[0]), strings.Join(old, " "))
				}
				fmt.Fprintln(cmd.OutOrStdout(), token)
				return nil
			}
			if len(old) > 0 {
				fmt.Fprintf(w, "next: copy the file to its client, then: hearth key revoke %s %s\n",
					shell.Path(args[0]), strings.Join(old, " "))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "the new key's id (default: the file's name and eight random digits)")
	cmd.Flags().BoolVar(&bearer, "bearer", false, "add a bearer key to a file without keys")
	return cmd
}

func newKeyRevoke() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "revoke FILE ID...",
		Short: "Remove keys from a file",
		Long: `Remove keys from a file. A running host that reads this file rejects them within a second, and closes
their connections.`,
		Example: `  hearth key revoke keys/alice.key alice-3f9a2c1b
  hearth key revoke keys/alice.key --all`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return cli.Usagef("FILE is missing")
			case len(args) == 1 && !all:
				return cli.Usagef("ID is missing; name the keys, or use --all")
			case len(args) > 1 && all:
				return cli.Usagef("--all removes every key; omit ID")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path, ids := args[0], args[1:]
			left := 0
			if err := keyfile.Update(path, func(keys []keyfile.Key) ([]keyfile.Key, error) {
				var have []string
				for _, k := range keys {
					have = append(have, k.ID)
				}
				for _, id := range ids {
					if !slices.Contains(have, id) {
						return nil, fmt.Errorf("%s has no key %s; it has: %s", path, id, strings.Join(have, ", "))
					}
				}
				keys = slices.DeleteFunc(keys, func(k keyfile.Key) bool { return all || slices.Contains(ids, k.ID) })
				left = len(keys)
				return keys, nil
			}); err != nil {
				return fmt.Errorf("revoking: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s left; a host that reads it rejects the others within a second\n",
				path, display.Plural(left, "key"))
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "remove every key of the file")
	return cmd
}
