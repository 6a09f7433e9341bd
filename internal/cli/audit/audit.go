// Package audit has the commands that read the audit log: hearth audit verify, tail and query.
//
// They read the file that the policy names, the older files beside it, and the records that were kept of removed files.
// They need no running host. Package audit/trail has the format of the log and the check of its chain. This package
// selects records by flags, and prints one line for each record. Records contain text from callers, so each field of a
// line is escaped and cannot forge another field or line. With --json the lines of the log are printed unchanged.
package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
)

// Command returns hearth audit with its subcommands.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read and verify the log of decisions",
		Long: `Read and verify the audit log: one line of JSON for each decision, chained by hashes. The commands
read the file of the policy, the older files beside it, and the records that were kept of removed
files. They need no running host, only the right to read its state folder.`,
		Example: `  hearth audit tail -n 20
  hearth audit query --principal alice --decision deny
  hearth audit verify`,
		Args: cli.NoSuchCommand,
		RunE: cli.Help,
	}
	cmd.AddCommand(newAuditVerify(), newAuditTail(), newAuditQuery())
	return cmd
}

// auditFlags select the log.
type auditFlags struct {
	policyflag.Flags
	file   string
	asJSON bool
}

func (f *auditFlags) add(cmd *cobra.Command) {
	f.Flags.Add(cmd)
	cmd.Flags().StringVar(&f.file, "file", "", "read this file and the older ones beside it instead")
}

// path returns the path of the log.
func (f *auditFlags) path() (string, error) {
	if f.file != "" {
		return f.file, nil
	}
	p, from, err := f.LoadUntested()
	if err != nil {
		return "", fmt.Errorf("%w\nif the policy does not load, name the log: --file STATE/audit.jsonl, "+
			"where STATE is the host's state folder (by default state, beside the policy)", err)
	}
	if p.Audit.Off {
		return "", fmt.Errorf("%s disables the audit log", from)
	}
	return p.Audit.Path, nil
}

// explainNoLog adds a remedy to the error of a missing log.
func explainNoLog(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("audit log not found: %w\n"+
			"name the policy of the host with --policy, or the log with --file", err)
	}
	return err
}

func newAuditVerify() *cobra.Command {
	var f auditFlags
	var head string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Recompute the chain of the audit log",
		Long: `Recompute the whole chain of the audit log and list changed, inserted and removed records; the exit
code is 1 if there are any. The chain has no key: it cannot show that the end was cut off, or that the
host's user wrote the whole log again. To detect that, keep the head that this command prints, or that
the host logs, in another place, and pass it with --head: it must still be in the log.`,
		Example: `  hearth audit verify
  hearth audit verify --head 3f0c…`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := f.path()
			if err != nil {
				return err
			}
			report, err := trail.Verify(path)
			if err != nil {
				return err
			}
			if head != "" {
				found, err := trail.Holds(path, head)
				if err != nil {
					return err
				}
				if !found {
					report.Problems = append(report.Problems,
						"no record has the hash "+head+": the log was cut off before it, or written again")
				}
			}
			return printReport(cmd.OutOrStdout(), report, f.asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&head, "head", "", "an earlier head, which must be in the log")
	cli.JSONFlag(cmd, &f.asJSON)
	return cmd
}

func printReport(w io.Writer, r *trail.Report, asJSON bool) error {
	if asJSON {
		if err := display.JSON(w, r); err != nil {
			return err
		}
	} else {
		for _, n := range r.Notes {
			fmt.Fprintf(w, "note: %s\n", display.Inline(n))
		}
		for _, p := range r.Problems {
			fmt.Fprintf(w, "BROKEN: %s\n", display.Inline(p))
		}
		verdict := "ok"
		if r.Problems != nil {
			verdict = "BROKEN"
		}
		fmt.Fprintf(w, "%s: %s in %s, %d to %d, head %s\n", verdict,
			display.Plural(r.Records, "record"), display.Plural(r.Files, "file"),
			r.First, r.Last, display.Quote(r.Head))
	}
	if r.Problems != nil {
		return cli.ExitFailed
	}
	return nil
}

func newAuditTail() *cobra.Command {
	var f auditFlags
	var n int
	var follow bool
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show the last records of the audit log",
		Example: `  hearth audit tail
  hearth audit tail -n 100 --follow`,
		Long: `Show the last records of the audit log, and with --follow each new record, until a signal. With --json
it prints the lines of the log unchanged.`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 0 {
				return cli.Usagef("-n %d: use a number from 0", n)
			}
			path, err := f.path()
			if err != nil {
				return err
			}
			last := make([]*trail.Entry, 0, n)
			var seq uint64
			for e, err := range trail.Entries(path) {
				if err != nil {
					return explainNoLog(err)
				}
				seq = e.Seq
				if last = append(last, e); len(last) > n {
					last = last[1:]
				}
			}
			for _, e := range last {
				f.print(cmd.OutOrStdout(), e)
			}
			if !follow {
				return nil
			}
			for e, err := range trail.Follow(cmd.Context(), path, seq, 200*time.Millisecond) {
				if err != nil {
					return err
				}
				f.print(cmd.OutOrStdout(), e)
			}
			return nil
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.IntVarP(&n, "lines", "n", 10, "number of records")
	fl.BoolVarP(&follow, "follow", "f", false, "also print each new record")
	cli.JSONFlag(cmd, &f.asJSON)
	return cmd
}

// print shows one record.
func (f *auditFlags) print(w io.Writer, e *trail.Entry) {
	if f.asJSON {
		fmt.Fprintf(w, "%s\n", bytes.TrimSpace(e.Raw))
		return
	}
	if e.Decision == "" {
		fields := []string{
			display.Inline(e.Time) + " ",
			display.Inline(e.Event),
			display.Inline(e.Object),
			display.Inline(e.Detail),
			display.Inline(e.Why),
			display.Inline(e.Count.String()),
		}
		fields = slices.DeleteFunc(fields, func(s string) bool { return s == "" })
		fmt.Fprintln(w, strings.Join(fields, " "))
		return
	}
	what := e.Object
	if e.Method != "" {
		what += "." + e.Method
	} else if e.Methods != nil {
		what += ".{" + strings.Join(e.Methods, ",") + "}"
	}
	if what != "" {
		what = display.Quote(what)
	}
	if e.Event != "call" {
		what = strings.TrimSpace(display.Inline(e.Event) + " " + what)
	}
	switch {
	case e.Item > 0:
		what += fmt.Sprintf(", call %d of a batch of %s", e.Item, display.Inline(e.Count.String()))
	case e.Count != "":
		what += ", a batch of " + display.Inline(e.Count.String())
	}
	reason := e.Reason
	if e.Reasons != nil {
		reason = strings.Join(slices.Compact(slices.Sorted(slices.Values(e.Reasons))), ", ")
	}
	if e.Exceeding != "" {
		reason = "beyond " + e.Exceeding
	}
	fmt.Fprintf(w, "%s  %-6s  %s  %s  from %s: %s\n",
		display.Inline(e.Time), display.Quote(e.Decision), display.Quote(e.Principal), what,
		display.Quote(e.Peer), display.Inline(reason))
}
