package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/object"
)

//go:embed templates/object.lua
var objectSource string

var objectTemplate = template.Must(template.New("object").Parse(objectSource))

func newNew() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "new OBJECT",
		Short: "Write the script of a new object",
		Long: `Write the script of a new object, commented and ready to be served: acme.counter becomes
scripts/acme/counter.lua, acme.shop.cart becomes scripts/acme/shop/cart.lua. The first
part of the name is the tenant. A file that exists is never overwritten. If the policy.hcl here
serves the folder and has no such tenant, the command prints the necessary addition.`,
		Example: `  hearth new acme.counter
  hearth new acme.shop.cart --dir /srv/hearth/scripts`,
		Args:              cli.ExactArgs("OBJECT"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := newObjectID(args[0])
			if err != nil {
				return err
			}
			path, err := scaffold(dir, id)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "wrote %s\n", path)
			fmt.Fprintf(w, "next: hearth serve, then: hearth call %s add 5\n", id)
			hintTenant(cmd.ErrOrStderr(), dir, id)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "scripts", "the scripts folder")
	return cmd
}

// newObjectID checks that the host would serve a script of this id as an object.
func newObjectID(s string) (object.ID, error) {
	id, err := object.ParseID(s)
	if err != nil {
		return "", cli.Usagef("%w; for example: hearth new acme.counter", err)
	}
	name := id.Name()
	if strings.HasPrefix(name, "lib.") {
		return "", cli.Usagef("object id %q: %s/lib holds modules for require, not objects", s, id.Tenant())
	}
	if strings.HasSuffix(name, "_test") {
		return "", cli.Usagef("object id %q: *_test.lua files hold tests, not objects", s)
	}
	return id, nil
}

// hintTenant prints the necessary addition to the policy in the current directory, if that policy serves the folder
// without the object's tenant. It ignores a policy that does not load, or is elsewhere.
func hintTenant(w io.Writer, dir string, id object.ID) {
	here := policyflag.Flags{Dir: "."}
	p, from, err := here.LoadUntested()
	if err != nil || p.Serves(id.Tenant()) {
		return
	}
	ours, err := os.Stat(dir)
	theirs, errTheirs := os.Stat(p.Scripts)
	if err != nil || errTheirs != nil || !os.SameFile(ours, theirs) {
		return
	}
	fmt.Fprintf(w, "note: %s has no tenant %q, and does not serve its objects. Add\n"+
		"  tenant %q {}\nand a permit with %s among its objects\n",
		from, id.Tenant(), id.Tenant(), id)
}

// scaffold writes the script and returns its path.
func scaffold(dir string, id object.ID) (string, error) {
	path := filepath.Join(dir, string(id.Tenant()), filepath.FromSlash(strings.ReplaceAll(id.Name(), ".", "/"))+".lua")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // scripts are not secret
		return "", fmt.Errorf("creating the object's folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // as above
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s exists and was not changed; choose another name, or move it first", path)
	}
	if err != nil {
		return "", fmt.Errorf("writing the script: %w", err)
	}
	err = objectTemplate.Execute(f, struct{ ID object.ID }{id})
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("writing %s: %w", path, err)
	}
	return path, nil
}
