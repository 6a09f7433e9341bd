package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/object"
)

// described is the host's answer to describe: what an object offers to this caller, or
// why it does not load.
type described struct {
	object.Description
	Error   string `json:"error,omitempty"`
	Refused string `json:"refused,omitempty"` // why what lies in its file does not serve
}

// registered asks for the ids of the objects that the caller may call, sorted.
func registered(ctx context.Context, c *client.Client) ([]string, error) {
	v, err := c.Object(object.Daemon).Call(ctx, "registered")
	if err != nil {
		return nil, err
	}
	var ids []string
	if err := into(v, &ids); err != nil {
		return nil, err
	}
	slices.Sort(ids)
	return ids, nil
}

// describe asks what one object offers. The host's own objects, and daemons other than
// hearth, are described by their metadata, which knows names only.
func describe(ctx context.Context, c *client.Client, id object.ID) (described, error) {
	var d described
	v, err := c.Object(object.Daemon).Call(ctx, "describe", string(id))
	if err == nil {
		err = into(v, &d)
		return d, err
	}
	var re *client.RemoteError
	if !errors.As(err, &re) || !strings.HasPrefix(string(id), object.HostPrefix) && pyro.BareClass(re.Class) != "AttributeError" {
		return d, err
	}
	m, err := c.Object(id).Metadata(ctx)
	if err != nil {
		return d, err
	}
	d.ID = id
	for _, name := range m.Methods {
		d.Members = append(d.Members, object.Member{Name: object.Method(name), Method: true, Oneway: slices.Contains(m.Oneway, name)})
	}
	for _, name := range m.Attrs {
		d.Members = append(d.Members, object.Member{Name: object.Method(name)})
	}
	return d, nil
}

// refused asks for the objects that are not served, since they do not load, and why. Hosts of
// other kinds do not tell.
func refused(ctx context.Context, c *client.Client) (map[string]string, error) {
	v, err := c.Object(object.Daemon).Call(ctx, "refused")
	if err != nil {
		if isRemote(err) {
			err = nil
		}
		return nil, err
	}
	var why map[string]string
	return why, into(v, &why)
}

// listed is one line of hearth ls.
type listed struct {
	ID         object.ID           `json:"id"`
	Instance   object.InstanceMode `json:"instance,omitempty"`
	Methods    int                 `json:"methods"`
	Attributes int                 `json:"attributes"`
	Doc        string              `json:"doc,omitempty"`
	Error      string              `json:"error,omitempty"`
	Refused    string              `json:"refused,omitempty"` // why what lies in its file does not serve
}

func newLs(r *remote) *cobra.Command {
	var asJSON, all, workers bool
	var door admin
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List the objects that you may call",
		Long: `List the objects of a host that you may call, with how many methods and attributes
each has and the first line of its doc. An object that does not load is listed with the
error, and one whose file was changed for the worse, and so serves an older version, with the
reason, if the policy lets you see tracebacks; so is a new one that does not load and serves
nothing. What you may not call is not listed: ask the host's
operator.

With --workers, list the workers and plugins of the host and their state instead. That is for
the user who runs the host, and root: it asks at the admin socket in the state folder of the
policy.`,
		Example: `  hearth ls
  hearth ls acme.
  hearth ls --workers
  hearth ls --json --at unix:state/hearth.sock`,
		Args:              atMostOne("PREFIX"),
		ValidArgsFunction: r.completeObjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if workers {
				if r.atGiven || r.profile != "" || all {
					return usagef("--workers asks at the admin socket of a host on this machine: it goes with --policy, --dir or --socket alone")
				}
				return door.listWorkers(cmd.Context(), cmd.OutOrStdout(), strings.Join(args, ""), asJSON)
			}
			if door.socket != "" || door.policy != "" || cmd.Flags().Changed("dir") {
				return usagef("--policy, --dir and --socket belong to --workers; --at names the host whose objects are listed")
			}
			list, err := r.list(cmd.Context(), strings.Join(args, ""), all)
			if err != nil {
				return r.explain(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), noObjects(strings.Join(args, "")))
				return nil
			}
			return printList(cmd.OutOrStdout(), list)
		},
	}
	cmd.Flags().BoolVar(&workers, "workers", false, "list workers and plugins, and their state, instead")
	door.flags(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also the host's own objects")
	jsonFlag(cmd, &asJSON)
	r.flags(cmd)
	return cmd
}

// noObjects says that there are none, and what to do.
func noObjects(prefix string) string {
	if prefix != "" {
		return fmt.Sprintf("no object that you may call begins with %s; hearth reload, on the host, says what is not served", prefix)
	}
	return "no object that you may call; hearth new acme.counter writes one, and hearth policy explain, on the host, says who may call what"
}

// list describes every object that begins with prefix.
func (r *remote) list(ctx context.Context, prefix string, all bool) ([]listed, error) {
	ctx, cancel := r.within(ctx)
	defer cancel()
	c, err := r.dial(1)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ids, err := registered(ctx, c)
	if err != nil {
		return nil, err
	}
	list := []listed{}
	for _, id := range ids {
		if !strings.HasPrefix(id, prefix) || strings.HasPrefix(id, object.HostPrefix) && !all {
			continue
		}
		d, err := describe(ctx, c, object.ID(id))
		if err != nil && !isRemote(err) {
			return nil, err
		}
		l := listed{ID: object.ID(id), Instance: d.Instance, Error: d.Error, Refused: d.Refused}
		if err != nil {
			l.Error = r.explain(err).Error()
		}
		l.Doc, _, _ = strings.Cut(d.Doc, "\n")
		for _, m := range d.Members {
			if m.Method {
				l.Methods++
			} else {
				l.Attributes++
			}
		}
		list = append(list, l)
	}
	unserved, err := refused(ctx, c)
	if err != nil {
		return nil, err
	}
	for id, why := range unserved {
		if strings.HasPrefix(id, prefix) {
			list = append(list, listed{ID: object.ID(id), Error: why})
		}
	}
	slices.SortFunc(list, func(a, b listed) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list, nil
}

func printList(out io.Writer, list []listed) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, l := range list {
		if l.Error != "" {
			fmt.Fprintf(w, "%s\tdoes not load: %s\n", quoted(string(l.ID)), inline(l.Error))
			continue
		}
		what := plural(l.Methods, "method")
		if l.Attributes > 0 {
			what += ", " + plural(l.Attributes, "attribute")
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%s\t%s\t%s", quoted(string(l.ID)), what, inline(l.Doc)), "\t"))
		if l.Refused != "" {
			fmt.Fprintf(w, "\tits file is refused, and an older version serves: %s\n", inline(l.Refused))
		}
	}
	return w.Flush()
}

// listWorkers lists the host's workers and plugins whose names begin with prefix.
func (a *admin) listWorkers(ctx context.Context, out io.Writer, prefix string, asJSON bool) error {
	var s host.Status
	if err := a.ask(ctx, http.MethodGet, "/v1/status", &s); err != nil {
		return err
	}
	s.Workers = slices.DeleteFunc(s.Workers, func(w host.WorkerStatus) bool { return !strings.HasPrefix(w.Name, prefix) })
	if asJSON {
		return printJSON(out, s.Workers)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range s.Workers {
		pid := ""
		if p.PID != 0 {
			pid = "\tpid " + strconv.Itoa(p.PID)
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s\n", quoted(p.Name), quoted(p.Kind), quoted(p.State), pid)
		if p.State == host.StateRefused {
			fmt.Fprintf(w, "\t%s\n", inline(p.Cause))
		} else if p.Crashes > 0 {
			again := ""
			if !p.Retry.IsZero() {
				again = ", started again after " + p.Retry.Local().Format(time.TimeOnly)
			}
			fmt.Fprintf(w, "\t%s in a row%s: %s\n", plurals(p.Crashes, "crash", "crashes"), again, inline(p.Cause))
		}
	}
	return w.Flush()
}
