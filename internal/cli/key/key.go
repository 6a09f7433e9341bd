// Package key has the commands for key files of the HMAC channel: hearth key new, list, rotate and revoke.
//
// Package transport/keyfile has the format of the files and their atomic update. A file is never overwritten by a new
// one, and no command prints the secret of a key. A running host reads a changed file within a second.
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

const keyLong = `Create and manage key files of the HMAC channel. A key authenticates a principal: the host's
policy names the file in keys = ["…"] of the principal, and its client has a copy. Any user who
can read the file is that principal, so it has mode 0600 and belongs to the user who reads it.

A file may hold several keys. Clients use the first; the host accepts all. To rotate
without a failed call: hearth key rotate, copy the file to the client, then hearth key
revoke the old id. A running host applies the change within a second.`

// Command returns hearth key with its subcommands.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Create, list, rotate and revoke keys of the HMAC channel",
		Long:  keyLong,
		Example: `  hearth key new keys/alice.key
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
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Write a new key file",
		Long: `Write a new file with one key. An existing file is never overwritten. Missing folders are
created with mode 0700.`,
		Example: `  hearth key new keys/alice.key`,
		Args:    cli.ExactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := makeKey(args[0], id)
			if err != nil {
				return err
			}
			if err := keyfile.Create(args[0], k); errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s exists and was not changed; hearth key rotate adds a key to it", args[0])
			} else if err != nil {
				return fmt.Errorf("writing a key file: %w", err)
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
	return cmd
}

// makeKey creates a key for a file.
func makeKey(path, id string) (keyfile.Key, error) {
	if id == "" {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		id = base + "-" + hex.EncodeToString(b[:])
	}
	k, err := keyfile.New(id, time.Now())
	if err != nil {
		return k, cli.Usagef("%w; use --id for another id", err)
	}
	return k, nil
}

// listedKey is a row of hearth key list.
type listedKey struct {
	File    string    `json:"file"`
	ID      string    `json:"id"`
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
				keys, err := keyfile.Read(path)
				if err != nil {
					problems = append(problems, err)
				}
				for i, k := range keys {
					rows = append(rows, listedKey{path, k.ID, k.Created, i == 0})
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
	fmt.Fprintln(tw, "FILE\tID\tCREATED\tAGE\tUSED BY")
	for _, r := range rows {
		users := "hosts"
		if r.First {
			users = "clients and hosts"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n",
			r.File, r.ID, r.Created.Format(time.DateOnly), display.Days(time.Since(r.Created)), users)
	}
	return tw.Flush()
}

func newKeyRotate() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use:   "rotate FILE",
		Short: "Add a new first key to a file; the others stay valid",
		Long: `Add a new first key to a file: clients use the first key. The host still accepts the others, so no
call fails before the client has the new file.`,
		Example: `  hearth key rotate keys/alice.key`,
		Args:    cli.ExactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := makeKey(args[0], id)
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
			fmt.Fprintf(w, "%s: key %s is the first key now\n", args[0], k.ID)
			if len(old) > 0 {
				fmt.Fprintf(w, "next: copy the file to its client, then: hearth key revoke %s %s\n",
					shell.Path(args[0]), strings.Join(old, " "))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "the new key's id (default: the file's name and eight random digits)")
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
