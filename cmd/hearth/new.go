package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/internal/scaffold"
	"github.com/hearthhost/hearth/object"
)

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
			id, err := scaffold.ParseID(args[0])
			if err != nil {
				return cli.Usagef("%w", err)
			}
			path, err := scaffold.Write(dir, id)
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
