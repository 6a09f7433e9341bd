package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// auditEvents are the events of the log, see doc/audit.md.
var auditEvents = []string{"call", "cancelled", "see", "connect", "open", "stop", "dropped", "late", "reloaded",
	"refused", "removed", "rolled back", "policy changed", "policy refused", "kept"}

// auditQuery selects records of the log.
type auditQuery struct {
	auditFlags
	want         trail.Entry
	object       string
	objects      *policy.Pattern // of object, if that is a pattern
	since, until string
	from, to     string // since and until in the form of the log
	most         int
}

func newAuditQuery() *cobra.Command {
	var q auditQuery
	cmd := &cobra.Command{
		Use:   "query",
		Short: "Find records of the audit log",
		Long: `Find the records of the audit log that match all flags, oldest first. --object may be a pattern, as in
the policy. A time has the form "2027-01-31T18:00:00Z", or is a duration like 2h before now. With --json
it prints the lines of the log unchanged. If no record matches, it reports that on standard error.`,
		Example: `  hearth audit query --principal alice --since 2h
  hearth audit query --object 'acme.*' --decision deny --json`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.check(); err != nil {
				return err
			}
			path, err := q.path()
			if err != nil {
				return err
			}
			shown := 0
			for e, err := range trail.Entries(path) {
				if err != nil {
					return explainNoLog(err)
				}
				if !q.matches(e) {
					continue
				}
				q.print(cmd.OutOrStdout(), e)
				if shown++; shown == q.most {
					break
				}
			}
			if shown == 0 {
				notes := append([]string{"no record matches"}, q.doubts()...)
				fmt.Fprintln(cmd.ErrOrStderr(), strings.Join(notes, "\n"))
			}
			return nil
		},
	}
	q.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&q.want.Principal, "principal", "", "of this principal")
	fl.StringVar(&q.object, "object", "", "about this object, or those that a pattern matches: 'acme.*'")
	fl.StringVar(&q.want.Method, "method", "", "about this method")
	fl.StringVar(&q.want.Decision, "decision", "", "permit or deny")
	fl.StringVar(&q.want.Event, "event", "", "one of: "+strings.Join(auditEvents, ", "))
	fl.StringVar(&q.since, "since", "", "not before this time")
	fl.StringVar(&q.until, "until", "", "before this time")
	fl.IntVar(&q.most, "limit", 0, "largest number of records; 0: all")
	cli.JSONFlag(cmd, &q.asJSON)
	return cmd
}

// check checks and parses the flags.
func (q *auditQuery) check() (err error) {
	if d := q.want.Decision; d != "" && d != "permit" && d != "deny" {
		return cli.Usagef("--decision %s: use permit or deny", d)
	}
	if q.from, err = moment("--since", q.since); err != nil {
		return err
	}
	if q.to, err = moment("--until", q.until); err != nil {
		return err
	}
	if q.from != "" && q.to != "" && q.from >= q.to {
		return cli.Usagef("--since %s is not before --until %s", q.since, q.until)
	}
	if !strings.Contains(q.object, "*") {
		q.want.Object = q.object
		return nil
	}
	p, err := policy.ParsePattern(q.object)
	if err != nil {
		return cli.Usagef("--object %s: %w", q.object, err)
	}
	q.objects = &p
	return nil
}

func (q *auditQuery) matches(e *trail.Entry) bool {
	return e.Matches(&q.want) && (q.objects == nil || e.Object != "" && q.objects.Match(object.ID(e.Object))) &&
		(q.from == "" || e.Time >= q.from) && (q.to == "" || e.Time < q.to)
}

// doubts returns notes about flags that hardly any record can match.
func (q *auditQuery) doubts() []string {
	var out []string
	if e := q.want.Event; e != "" && !slices.Contains(auditEvents, e) {
		out = append(out, fmt.Sprintf("--event %s is unknown; events are: %s", e, strings.Join(auditEvents, ", ")))
	}
	if id := q.want.Object; id != "" {
		if _, err := policy.ParsePattern(id); err != nil {
			out = append(out, fmt.Sprintf("--object %s: %v", id, err))
		}
	}
	for _, f := range []struct{ flag, value string }{{"--principal", q.want.Principal}, {"--method", q.want.Method}} {
		if strings.Contains(f.value, "*") {
			out = append(out, fmt.Sprintf("%s %s is a whole name; only --object may be a pattern", f.flag, f.value))
		}
	}
	return out
}

// moment returns the time of a flag in the form of the log, so that both compare as strings.
func moment(flag, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		ago, errAgo := time.ParseDuration(s)
		if errAgo != nil {
			return "", cli.Usagef(`%s %s: use a time like "2027-01-31T18:00:00Z", or a duration like 2h`, flag, s)
		}
		at = time.Now().Add(-ago)
	}
	return at.UTC().Format("2006-01-02T15:04:05.000000Z"), nil
}
