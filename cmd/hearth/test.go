package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host/dryrun"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
)

func newTest() *cobra.Command {
	var f policyflag.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test [PREFIX]",
		Short: "Run the tests of scripts",
		Long: `Run the tests of the scripts in the scripts folder, or of the objects whose ids begin with PREFIX.
The tests of scripts/acme/counter.lua are in scripts/acme/counter_test.lua: a script that returns a
table of functions, in which new() creates an instance of the object. It needs no running host. The exit
code is 1 if a test fails, or if there is no test for PREFIX.`,
		Example: `  hearth test
  hearth test acme.counter
  hearth test --dir my --json`,
		Args: cli.AtMostOne("PREFIX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, _, err := f.LoadUntested()
			if err != nil {
				return err
			}
			worker, err := workerCommand(noteTo(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			prefix := ""
			if len(args) == 1 {
				prefix = args[0]
			}
			out := cmd.OutOrStdout()
			all, ran, failed := []*dryrun.Tested{}, 0, 0
			cfg := dryrun.Config{Policy: p, Worker: worker}
			err = dryrun.Test(cmd.Context(), cfg, prefix, func(t *dryrun.Tested) {
				all = append(all, t)
				if t.Err != "" {
					failed++
					if !asJSON {
						fmt.Fprintf(out, "FAIL  %s  %s\n", t.ID, display.Indent(t.Err))
					}
				}
				for _, text := range t.Warnings {
					if !asJSON {
						fmt.Fprintf(out, "note  %s  %s\n", t.ID, display.Indent(text))
					}
				}
				for _, r := range t.Tests {
					ran++
					state, why := "ok  ", ""
					if r.Err != "" {
						failed++
						state, why = "FAIL", ": "+r.Err
					}
					if !asJSON {
						fmt.Fprintf(out, "%s  %s  %s%s\n", state, t.ID, display.Inline(r.Name), display.Indent(why))
					}
				}
			})
			if err != nil {
				return err
			}
			if asJSON {
				if err := display.JSON(out, all); err != nil {
					return err
				}
			}
			switch {
			case failed > 0:
				return fmt.Errorf("%s failed", display.Plural(failed, "test"))
			case ran == 0 && len(args) > 0: // a mistyped name must not pass
				return fmt.Errorf("no tests of objects that begin with %s", args[0])
			case ran == 0:
				fmt.Fprintf(cmd.ErrOrStderr(), "no tests in %s; "+
					"the tests of counter.lua are in counter_test.lua beside it\n", p.Scripts)
			}
			return nil
		},
	}
	f.Add(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}
