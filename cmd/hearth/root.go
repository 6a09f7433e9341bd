package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const rootLong = `Hearth is a secure host daemon: a Lua script in a folder becomes a remote object that
Pyro4 and Pyro5 programs call over the network, each tenant in its own sandbox and each
call under a policy that denies by default.

  hearth new acme.counter            write scripts/acme/counter.lua
  hearth serve                       serve it, to you alone
  hearth call acme.counter add 5     call it

Exit codes: 0 done; 1 it failed or the host said no; 2 the command line makes no sense.
What a command does stands on its command line and in the policy file. The environment sets
how hearth serve logs (HEARTH_LOG_LEVEL, HEARTH_LOG_FORMAT) and nothing else, and not even
that with --no-env.`

// Annotation keys of commands.
const (
	calls = "calls" // the command calls a host, so --at means something to it
)

// newRoot returns the whole command tree.
func newRoot() *cobra.Command {
	r := &remote{}
	root := &cobra.Command{
		Use:           "hearth",
		Short:         "Serve Lua objects to Pyro clients, and call them",
		Long:          rootLong,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchVerb,
		RunE:          help,
	}
	root.PersistentFlags().StringVar(&r.at, "at", defaultAddress, "address of the host to call: host:port, [::1]:port or unix:path")
	noEnv := false
	root.PersistentFlags().BoolVar(&noEnv, "no-env", false, "ignore the environment; so by itself where hearth has more rights than its starter")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		r.env = closeEnvironment(noEnv)
		r.atGiven = cmd.Flags().Changed("at")
		if r.atGiven && cmd.Annotations[calls] == "" && cmd != root {
			return usagef("--at means nothing to %q, which calls no host", cmd.CommandPath())
		}
		return nil
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
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
	add("host", newServe(r), newUpgrade(), newNew(), newTest(), newPolicy(), newAudit(), newDoctor(), newConfig(r), newTenant(), newReload(), newHistory(), newRollback())
	add("call", newCall(r), newLs(r), newDescribe(r), newPing(r))
	add("who", newKey(), newCA(), newEnroll(r), newSecret())
	add("other", newVersion())
	root.AddCommand(newWorker(), newShim())
	root.SetHelpCommandGroupID("other")
	root.SetCompletionCommandGroupID("other")
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	ours(root)
	return root
}

// ours makes of cobra's own commands, which shrug at a word that they do not know, commands like the others.
func ours(root *cobra.Command) {
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.RunE = helpAbout
		case "completion":
			c.Args, c.RunE = noSuchVerb, help
			for _, shell := range c.Commands() {
				shell.Args = exactArgs()
			}
		}
	}
}

// helpAbout prints the help of the command that is named.
func helpAbout(cmd *cobra.Command, args []string) error {
	about, rest, err := cmd.Root().Find(args)
	if err != nil {
		return usagef("%w", err)
	}
	if len(rest) > 0 {
		return noSuchVerb(about, rest)
	}
	about.InitDefaultHelpFlag()
	return about.Help()
}

// help is what a command does that only holds others.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// noSuchVerb refuses what is not a command, with the ones that may have been meant.
func noSuchVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := "hearth --help lists the commands"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef("there is no command %q: %s", args[0], hint)
}

// jsonFlag adds --json to a command that prints a listing.
func jsonFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "print JSON")
}
