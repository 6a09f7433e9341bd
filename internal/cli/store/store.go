// Package store has the commands for the durable state of objects: hearth store ls, get, set, rm, export, import, check
// and backup.
//
// They send requests to the admin socket of the running host, which alone writes the stores. The host checks values and
// limits, and writes an audit record for each request. Files of export and backup are created by this command, with the
// rights of its user, and never replaced.
package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host/stores"
	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/admin"
	"github.com/hearthhost/hearth/internal/cli/display"
)

// Command returns hearth store with its subcommands.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Show, change, export and check the durable state of objects",
		Long: `Show and change the keys that objects store with hearth.store, and export, import, check and back up
the store of a tenant. The commands use the admin socket of the running host, which accepts the host's
user and root. Each command, also one that only reads, is a record in the audit log (event "store").

A change is a commit like one of an object: it is on disk when the command ends, the limits of the
policy hold, and objects read it with their next operation.`,
		Example: `  hearth store ls
  hearth store get acme.counter total
  hearth store set acme.counter total 5`,
		Args: cli.NoSuchCommand,
		RunE: cli.Help,
	}
	cmd.AddCommand(newLs(), newGet(), newSet(), newRm(), newExport(), newImport(), newCheck(), newBackup())
	return cmd
}

// pages returns the rows of all pages of a listing. last returns the position of a row.
func pages[Row any](cmd *cobra.Command, socket *admin.Socket, last func(*Row) string, path string, pairs ...string) (
	[]Row, error,
) {
	rows := []Row{}
	for after := ""; ; {
		var page stores.Page[Row]
		r := admin.Request{Method: http.MethodGet, Resource: admin.Resource(path, append(pairs, "after", after)...)}
		if err := socket.Do(cmd.Context(), r, &page); err != nil {
			return nil, err
		}
		rows = append(rows, page.Rows...)
		if !page.More || len(page.Rows) == 0 {
			return rows, nil
		}
		after = last(&rows[len(rows)-1])
	}
}

func newLs() *cobra.Command {
	var socket admin.Socket
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls [TENANT | OBJECT [PREFIX]]",
		Short: "List tenants, the objects of a tenant, or the keys of an object",
		Long: `List the tenants with the sizes of their stores; with TENANT its objects that have keys; with OBJECT
its keys, those that begin with PREFIX. An instance of a keyed object is an object, such as
acme.cart:alice. SIZE counts keys and values, and 32 bytes for each key; of a key it is that of its
value. FILE is the size of the files on disk.`,
		Example: `  hearth store ls
  hearth store ls acme
  hearth store ls acme.cart:alice order/`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 2 {
				return cli.Usagef("unexpected argument %q", args[2])
			}
			if len(args) == 2 && !strings.Contains(args[0], ".") {
				return cli.Usagef("unexpected argument %q; a PREFIX follows an OBJECT, such as acme.counter", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return listTenants(cmd, &socket, asJSON)
			case !strings.Contains(args[0], "."):
				return listObjects(cmd, &socket, args[0], asJSON)
			}
			return listKeys(cmd, &socket, args[0], strings.Join(args[1:], ""), asJSON)
		},
	}
	socket.AddFlags(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

// table returns a writer of columns.
func table(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) }

func listTenants(cmd *cobra.Command, socket *admin.Socket, asJSON bool) error {
	var rows []stores.TenantInfo
	err := socket.Do(cmd.Context(), admin.Request{Method: http.MethodGet, Resource: "/v1/store"}, &rows)
	if err != nil {
		return err
	}
	if asJSON {
		return display.JSON(cmd.OutOrStdout(), rows)
	}
	w := table(cmd.OutOrStdout())
	fmt.Fprintln(w, "TENANT\tKEYS\tSIZE\tFILE")
	for _, r := range rows {
		if r.Error != "" {
			fmt.Fprintf(w, "%s\t\t\t%s\t%s\n", r.Tenant, bytesize.Text(r.FileBytes), display.Inline(r.Error))
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", r.Tenant, r.Keys, bytesize.Text(r.Bytes), bytesize.Text(r.FileBytes))
	}
	return w.Flush()
}

func listObjects(cmd *cobra.Command, socket *admin.Socket, tenant string, asJSON bool) error {
	last := func(r *stores.ObjectInfo) string { return string(r.Object) }
	rows, err := pages(cmd, socket, last, "/v1/store/objects", "tenant", tenant)
	if err != nil {
		return err
	}
	if asJSON {
		return display.JSON(cmd.OutOrStdout(), rows)
	}
	w := table(cmd.OutOrStdout())
	fmt.Fprintln(w, "OBJECT\tKEYS\tSIZE")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%s\n", display.Quote(string(r.Object)), r.Keys, bytesize.Text(r.Bytes))
	}
	return w.Flush()
}

func listKeys(cmd *cobra.Command, socket *admin.Socket, object, prefix string, asJSON bool) error {
	last := func(r *stores.KeyInfo) string { return r.Key }
	rows, err := pages(cmd, socket, last, "/v1/store/keys", "object", object, "prefix", prefix)
	if err != nil {
		return err
	}
	if asJSON {
		return display.JSON(cmd.OutOrStdout(), rows)
	}
	w := table(cmd.OutOrStdout())
	fmt.Fprintln(w, "KEY\tVERSION\tSIZE\tEXPIRES")
	for _, r := range rows {
		expires := "never"
		if r.Expires != nil {
			expires = r.Expires.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", display.Quote(r.Key), r.Version, bytesize.Text(int64(r.Bytes)), expires)
	}
	return w.Flush()
}

func newGet() *cobra.Command {
	var socket admin.Socket
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "get OBJECT KEY",
		Short: "Print the value of a key",
		Long: `Print the value of a key as JSON. Values that JSON lacks are objects with one key, such as
{"$bytes": "…"}. With --json also print its version and the time at which it expires.`,
		Example: `  hearth store get acme.counter total
  hearth store get acme.cart:alice order/1 --json`,
		Args: cli.ExactArgs("OBJECT", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var v stores.Value
			r := admin.Request{Method: http.MethodGet,
				Resource: admin.Resource("/v1/store/value", "object", args[0], "key", cli.Unshield(args[1]))}
			if err := socket.Do(cmd.Context(), r, &v); err != nil {
				return err
			}
			if asJSON {
				return display.JSON(cmd.OutOrStdout(), v)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", v.Value)
			return err
		},
	}
	socket.AddFlags(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

func newSet() *cobra.Command {
	var socket admin.Socket
	var asJSON bool
	var ttl time.Duration
	var ifVersion int64
	cmd := &cobra.Command{
		Use:   "set OBJECT KEY VALUE",
		Short: "Store the value of a key",
		Long: `Store the value of a key. VALUE is JSON, or - for standard input. Values that JSON lacks are written
as hearth store get prints them. A key that exists is replaced, and expires only if --ttl is given.

With --if-version nothing is stored unless the key has this version, which hearth store get --json
prints; 0 requires that the key is missing.`,
		Example: `  hearth store set acme.counter total 5
  hearth store set acme.cart:alice order/1 - < order.json
  hearth store set acme.counter total 6 --if-version 12`,
		Args: cli.ExactArgs("OBJECT", "KEY", "VALUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			pairs := []string{"object", args[0], "key", cli.Unshield(args[1])}
			if cmd.Flags().Changed("ttl") {
				if ttl <= 0 {
					return cli.Usagef("--ttl %s: use a duration above 0; without --ttl a key never expires", ttl)
				}
				pairs = append(pairs, "ttl", ttl.String())
			}
			if cmd.Flags().Changed("if-version") {
				if ifVersion < 0 {
					return cli.Usagef("--if-version %d: versions are at least 0", ifVersion)
				}
				pairs = append(pairs, "if_version", strconv.FormatInt(ifVersion, 10))
			}
			var body io.Reader = strings.NewReader(cli.Unshield(args[2]))
			if args[2] == "-" {
				body = cmd.InOrStdin()
			}
			var stored struct {
				Version int64 `json:"version"`
			}
			r := admin.Request{Method: http.MethodPost, Resource: admin.Resource("/v1/store/set", pairs...), Body: body}
			if err := socket.Do(cmd.Context(), r, &stored); err != nil {
				return err
			}
			if asJSON {
				return display.JSON(cmd.OutOrStdout(), stored)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s has version %d\n", args[0], display.Quote(cli.Unshield(args[1])),
				stored.Version)
			return nil
		},
	}
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "time after which the key expires, such as 90s or 24h")
	cmd.Flags().Int64Var(&ifVersion, "if-version", 0, "store only if the key has this version; 0: if it is missing")
	socket.AddFlags(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

func newRm() *cobra.Command {
	var socket admin.Socket
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rm OBJECT KEY...",
		Short: "Remove keys",
		Long: `Remove keys of an object together. If one of them is missing, nothing is removed. Without keys an
object has no state; its next instance begins with an empty store.`,
		Example: `  hearth store rm acme.counter total
  hearth store rm acme.cart:alice order/1 order/2`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return cli.Usagef("%s is missing", []string{"OBJECT", "KEY"}[len(args)])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var keys []string
			for _, key := range args[1:] {
				keys = append(keys, cli.Unshield(key))
			}
			body, err := json.Marshal(keys)
			if err != nil {
				return err
			}
			var done struct {
				Removed int `json:"removed"`
			}
			r := admin.Request{Method: http.MethodPost, Resource: admin.Resource("/v1/store/remove", "object", args[0]),
				Body: bytes.NewReader(body)}
			if err := socket.Do(cmd.Context(), r, &done); err != nil {
				return err
			}
			if asJSON {
				return display.JSON(cmd.OutOrStdout(), done)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "removed %s of %s\n", display.Plural(done.Removed, "key"), args[0])
			return nil
		},
	}
	socket.AddFlags(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

func newCheck() *cobra.Command {
	var socket admin.Socket
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [TENANT]",
		Short: "Check the stores for damage",
		Long: `Read the whole store of a tenant, or of each tenant, and report damage: the findings of SQLite's
integrity check, and objects whose recorded size is wrong. Calls continue meanwhile. The exit code is 1 if a
store is damaged. Nothing is repaired: restore a backup, or export the keys that can be read.`,
		Example: `  hearth store check
  hearth store check acme --json`,
		Args: cli.AtMostOne("TENANT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			tenants := args
			if len(tenants) == 0 {
				var rows []stores.TenantInfo
				r := admin.Request{Method: http.MethodGet, Resource: "/v1/store"}
				if err := socket.Do(cmd.Context(), r, &rows); err != nil {
					return err
				}
				for _, row := range rows {
					tenants = append(tenants, string(row.Tenant))
				}
			}
			return check(cmd, &socket, tenants, asJSON)
		},
	}
	socket.AddFlags(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

// checked is the result of a check of one store.
type checked struct {
	Tenant string   `json:"tenant"`
	Damage []string `json:"damage"`
}

// check checks stores and prints the results.
func check(cmd *cobra.Command, socket *admin.Socket, tenants []string, asJSON bool) error {
	results, damaged := []checked{}, false
	for _, tenant := range tenants {
		c := checked{Tenant: tenant}
		r := admin.Request{
			Method:   http.MethodGet,
			Resource: admin.Resource("/v1/store/check", "tenant", tenant),
			Long:     true,
		}
		err := socket.Do(cmd.Context(), r, &c)
		var failed *admin.HostError
		if errors.As(err, &failed) && len(tenants) > 1 { // the other stores can be checked
			c.Damage = []string{failed.Msg}
		} else if err != nil {
			return err
		}
		damaged = damaged || len(c.Damage) > 0
		results = append(results, c)
		if asJSON {
			continue
		}
		if len(c.Damage) == 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", display.Quote(tenant))
		}
		for _, line := range c.Damage {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: DAMAGED: %s\n", display.Quote(tenant), display.Inline(line))
		}
	}
	if asJSON {
		if err := display.JSON(cmd.OutOrStdout(), results); err != nil {
			return err
		}
	}
	if damaged {
		return cli.ExitFailed
	}
	return nil
}

// create runs write with a new file, which is removed if write fails. An existing file is an error.
func create(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the user names it
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists and was not changed; name another file, or remove it", path)
	}
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func newBackup() *cobra.Command {
	var socket admin.Socket
	cmd := &cobra.Command{
		Use:   "backup TENANT FILE",
		Short: "Copy the store of a tenant into a file",
		Long: `Write a copy of the store of a tenant, as it is at one moment, into a new SQLite file with mode 0600.
Calls continue meanwhile. hearth backup copies all stores and the other files of a host.`,
		Example: `  hearth store backup acme acme-2027-01-31.db`,
		Args:    cli.ExactArgs("TENANT", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := admin.Request{
				Method:   http.MethodGet,
				Resource: admin.Resource("/v1/store/backup", "tenant", args[0]),
				Long:     true,
			}
			err := create(args[1], func(to io.Writer) error { return socket.Copy(cmd.Context(), r, to) })
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "copied the store of %s into %s\n", args[0], args[1])
			}
			return err
		},
	}
	socket.AddFlags(cmd)
	return cmd
}
