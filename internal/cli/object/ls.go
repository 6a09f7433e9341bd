package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/admin"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/value"
	"github.com/hearthhost/hearth/object"
)

// described is the host's answer to describe: the members of an object that the caller may use, or the error of its
// script.
type described struct {
	object.Description
	Error   string `json:"error,omitempty"`
	Refused string `json:"refused,omitempty"` // reason why the version in its file does not serve
}

// registered returns the sorted ids of the objects that the caller may call.
func registered(ctx context.Context, c *client.Client) ([]string, error) {
	v, err := c.Object(object.Daemon).Call(ctx, "registered")
	if err != nil {
		return nil, err
	}
	var ids []string
	if err := value.Decode(v, &ids); err != nil {
		return nil, err
	}
	slices.Sort(ids)
	return ids, nil
}

// describe returns the members of an object. Built-in objects, and objects of other daemons than hearth, are described
// by their metadata, which has names only.
func describe(ctx context.Context, c *client.Client, id object.ID) (described, error) {
	var d described
	v, err := c.Object(object.Daemon).Call(ctx, "describe", string(id))
	if err == nil {
		err = value.Decode(v, &d)
		return d, err
	}
	var re *client.RemoteError
	builtin := strings.HasPrefix(string(id), object.HostPrefix)
	if !errors.As(err, &re) || !builtin && object.BareClass(re.Class) != "AttributeError" {
		return d, err
	}
	m, err := c.Object(id).Metadata(ctx)
	if err != nil {
		return d, err
	}
	d.ID = id
	for _, name := range m.Methods {
		d.Members = append(d.Members, object.Member{
			Name:   object.Method(name),
			Method: true,
			Oneway: slices.Contains(m.Oneway, name),
		})
	}
	for _, name := range m.Attrs {
		d.Members = append(d.Members, object.Member{Name: object.Method(name)})
	}
	return d, nil
}

// refused returns the objects that do not load, with their errors. Other daemons than hearth return none.
func refused(ctx context.Context, c *client.Client) (map[string]string, error) {
	v, err := c.Object(object.Daemon).Call(ctx, "refused")
	if err != nil {
		if isRemote(err) {
			err = nil
		}
		return nil, err
	}
	var why map[string]string
	return why, value.Decode(v, &why)
}

// listed is a row of hearth ls.
type listed struct {
	ID         object.ID           `json:"id"`
	Instance   object.InstanceMode `json:"instance,omitempty"`
	Methods    int                 `json:"methods"`
	Attributes int                 `json:"attributes"`
	Doc        string              `json:"doc,omitempty"`
	Error      string              `json:"error,omitempty"`
	Refused    string              `json:"refused,omitempty"` // reason why the version in its file does not serve
}

func newLs(r caller) *cobra.Command {
	var asJSON, all, workers bool
	var socket admin.Socket
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List the objects that you may call",
		Long: `List the objects of a host that you may call, with the number of their methods and attributes and
the first line of their documentation. An object whose script does not load is listed with the error.
If the policy permits you tracebacks, so are an object whose new file is rejected, so that an older
version serves, and a new object that does not load. Objects that you may not call are not listed;
the host's operator can list them. --all adds the built-in objects.

With --workers, list the workers and plugins of the host with their state instead. That uses the
admin socket in the state folder of the policy, which accepts the host's user and root.`,
		Example: `  hearth ls
  hearth ls acme.
  hearth ls --workers
  hearth ls --json --at unix:state/hearth.sock`,
		Args:              cli.AtMostOne("PREFIX"),
		ValidArgsFunction: r.completeObjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if workers {
				if r.AtGiven || r.Profile != "" || all {
					return cli.Usagef("--workers uses the admin socket of a host on this machine; " +
						"use it with --policy, --dir or --socket only")
				}
				return socket.PrintWorkers(cmd.Context(), cmd.OutOrStdout(), strings.Join(args, ""), asJSON)
			}
			if socket.Path != "" || socket.File != "" || cmd.Flags().Changed("dir") {
				return cli.Usagef("--policy, --dir and --socket need --workers; --at names the host of the objects")
			}
			list, err := r.list(cmd.Context(), strings.Join(args, ""), all)
			if err != nil {
				return r.Explain(err)
			}
			if asJSON {
				return display.JSON(cmd.OutOrStdout(), list)
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), noObjects(strings.Join(args, "")))
				return nil
			}
			return printList(cmd.OutOrStdout(), list)
		},
	}
	cmd.Flags().BoolVar(&workers, "workers", false, "list workers and plugins with their state instead")
	socket.AddFlags(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also list built-in objects")
	cli.JSONFlag(cmd, &asJSON)
	r.Flags(cmd)
	return cmd
}

// noObjects returns the message for an empty list.
func noObjects(prefix string) string {
	if prefix != "" {
		return fmt.Sprintf("no object that you may call begins with %s; "+
			"hearth reload, on the host, lists rejected files", prefix)
	}
	return "no object that you may call; hearth new acme.counter writes one, " +
		"and hearth policy explain, on the host, lists permissions"
}

// list describes every object whose id begins with prefix.
func (r caller) list(ctx context.Context, prefix string, all bool) ([]listed, error) {
	ctx, cancel := r.Within(ctx)
	defer cancel()
	c, err := r.Dial(1)
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
			l.Error = r.Explain(err).Error()
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
			fmt.Fprintf(w, "%s\tdoes not load: %s\n", display.Quote(string(l.ID)), display.Inline(l.Error))
			continue
		}
		what := display.Plural(l.Methods, "method")
		if l.Attributes > 0 {
			what += ", " + display.Plural(l.Attributes, "attribute")
		}
		row := fmt.Sprintf("%s\t%s\t%s", display.Quote(string(l.ID)), what, display.Inline(l.Doc))
		fmt.Fprintln(w, strings.TrimRight(row, "\t"))
		if l.Refused != "" {
			fmt.Fprintf(w, "\tits file is rejected, and an older version serves: %s\n", display.Inline(l.Refused))
		}
	}
	return w.Flush()
}
