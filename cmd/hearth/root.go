package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/admin"
	"github.com/hearthhost/hearth/internal/cli/audit"
	"github.com/hearthhost/hearth/internal/cli/backup"
	"github.com/hearthhost/hearth/internal/cli/ca"
	"github.com/hearthhost/hearth/internal/cli/enroll"
	"github.com/hearthhost/hearth/internal/cli/key"
	"github.com/hearthhost/hearth/internal/cli/mcp"
	"github.com/hearthhost/hearth/internal/cli/object"
	"github.com/hearthhost/hearth/internal/cli/policy"
	"github.com/hearthhost/hearth/internal/cli/remote"
	"github.com/hearthhost/hearth/internal/cli/secret"
	"github.com/hearthhost/hearth/internal/cli/store"
	"github.com/hearthhost/hearth/internal/process"
)

const rootLong = `Hearth is a secure host daemon: a Lua script in a folder becomes a remote object that
Pyro4 and Pyro5 programs call over the network. Each tenant has a separate sandbox, and a
policy that denies by default decides each call.

  hearth new acme.counter            write scripts/acme/counter.lua
  hearth serve                       serve it to you only
  hearth call acme.counter add 5     call it

Exit codes: 0 success; 1 failure, or the host rejected the request; 2 invalid command line.
The command line and the policy file configure a command. The environment sets only the log
of hearth serve (HEARTH_LOG_LEVEL, HEARTH_LOG_FORMAT), and nothing with --no-env.`

// newRoot returns the root command with all its commands.
func newRoot() *cobra.Command {
	r := &remote.Remote{}
	env := &process.Environment{}
	root := &cobra.Command{
		Use:           "hearth",
		Short:         "Serve Lua objects to Pyro clients, and call them",
		Long:          rootLong,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cli.NoSuchCommand,
		RunE:          cli.Help,
	}
	r.AddAddress(root)
	noEnv := false
	root.PersistentFlags().BoolVar(&noEnv, "no-env", false,
		"ignore the environment; automatic for a process with more rights than its parent")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		*env = process.CloseEnvironment(noEnv)
		return r.CheckAddressFlag(cmd)
	}
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: "host", Title: "Host objects:"},
		&cobra.Group{ID: "call", Title: "Call objects:"},
		&cobra.Group{ID: "who", Title: "Identities:"},
		&cobra.Group{ID: "other", Title: "Other:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("host", newServe(env), newUpgrade(), newNew(), newTest(), newDoctor(), newConfig(env))
	add("host", policy.Command(), audit.Command())
	add("host", admin.Commands()...)
	add("host", store.Command())
	add("host", backup.Commands(thisBuild().Version)...)
	add("call", object.Commands(r)...)
	add("call", mcp.Command())
	add("who", key.Command(), ca.Command(), enroll.Command(r), secret.Command())
	add("other", newVersion())
	root.AddCommand(newWorker(), newShim())
	root.SetHelpCommandGroupID("other")
	root.SetCompletionCommandGroupID("other")
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	strictBuiltins(root)
	return root
}

// strictBuiltins makes cobra's built-in commands reject unknown arguments as all others do.
func strictBuiltins(root *cobra.Command) {
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.RunE = helpAbout
		case "completion":
			c.Args, c.RunE = cli.NoSuchCommand, cli.Help
			for _, shell := range c.Commands() {
				shell.Args = cli.ExactArgs()
			}
		}
	}
}

// helpAbout prints the help of the named command.
func helpAbout(cmd *cobra.Command, args []string) error {
	about, rest, err := cmd.Root().Find(args)
	if err != nil {
		return cli.Usagef("%w", err)
	}
	if len(rest) > 0 {
		return cli.NoSuchCommand(about, rest)
	}
	about.InitDefaultHelpFlag()
	return about.Help()
}

// renamedFlags are the new names of flags that had other names.
var renamedFlags = map[string]string{"way": "auth", "spares": "prewarm"}

// flagError returns the error of an invalid flag, with the new name of a renamed one.
func flagError(cmd *cobra.Command, err error) error {
	var unknown interface { // implemented by pflag.NotExistError
		error
		GetSpecifiedName() string
	}
	if errors.As(err, &unknown) {
		name := renamedFlags[unknown.GetSpecifiedName()]
		if name != "" && cmd.Flags().Lookup(name) != nil {
			return cli.Usagef("%w; it is --%s now", err, name)
		}
	}
	return cli.Usagef("%w", err)
}
