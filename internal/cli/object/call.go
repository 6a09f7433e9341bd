package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/remote"
	"github.com/hearthhost/hearth/internal/cli/value"
	"github.com/hearthhost/hearth/internal/shell"
	"github.com/hearthhost/hearth/object"
)

const callLong = `Call a method of an object and print the result as one line of JSON. With
--stream, call a method that returns an item stream and print one line for each item.

Arguments are JSON: 5, 1.5, true, null, '"text"', '[1, 2]', '{"a": 1}'. A bare word is a
string, unless it contains one of []{}". Results are exact: integers of any size, and floats
with a decimal point. Tuples and sets are printed as arrays, bytes as
{"data": "<base64>", "encoding": "base64"} (which is also accepted as an argument), times
and complex numbers as strings.

Attributes are not methods: --get reads one, --set writes one.

An exception of the object, and an error of the host, is printed on standard error as
"Class: message", and the exit code is 1. An object that you may not call gives the error of a
missing one. hearth ls lists the objects that you may call.`

// callFlags are the flags of hearth call.
type callFlags struct {
	kw        []string
	get       string
	set       string
	oneway    bool
	stream    bool
	traceback bool
	once      string
}

func newCall(r caller) *cobra.Command {
	var f callFlags
	cmd := &cobra.Command{
		Use:   "call OBJECT METHOD [ARGUMENT...]",
		Short: "Call a method, or read or write an attribute",
		Long:  callLong,
		Example: `  hearth call acme.counter add 5
  hearth call acme.mailer send bob --kw subject='"hello, you"' --kw urgent=true
  hearth call acme.counter --get total
  hearth call acme.counter --set total=3
  hearth call acme.counter up --stream
  hearth call acme.counter reset --oneway`,
		Args:              func(cmd *cobra.Command, args []string) error { return f.checkArgs(cmd, args) },
		ValidArgsFunction: r.completeMembers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.call(cmd, f, args)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.kw, "kw", nil, "keyword argument name=value; may be repeated")
	fl.StringVar(&f.get, "get", "", "read this attribute instead of calling a method")
	fl.StringVar(&f.set, "set", "", "write attribute=value instead of calling a method")
	fl.BoolVar(&f.oneway, "oneway", false, "do not wait for the reply, also not for an error")
	fl.BoolVar(&f.stream, "stream", false, "print the items of the stream that the method returns, one a line")
	fl.StringVar(&f.once, "once", "", "idempotency key: a call with the same key and arguments is executed once")
	fl.BoolVar(&f.traceback, "traceback", false, "print the remote traceback, if the policy permits it")
	cmd.MarkFlagsMutuallyExclusive("get", "set")
	r.Flags(cmd)
	return cmd
}

// checkArgs requires OBJECT and, without --get and --set, METHOD.
func (f *callFlags) checkArgs(cmd *cobra.Command, args []string) error {
	get, set := cmd.Flags().Changed("get"), cmd.Flags().Changed("set")
	switch {
	case len(args) == 0:
		return cli.Usagef("OBJECT is missing")
	case get && set:
		return cli.Usagef("--get and --set exclude each other")
	case !get && !set && len(args) == 1:
		return cli.Usagef("METHOD is missing; hearth describe %s lists the methods", shell.Quote(args[0]))
	case (get || set) && len(args) > 1:
		return cli.Usagef("unexpected argument %q; --get and --set take no method and no arguments", args[1])
	case (get || set) && (f.oneway || f.stream || len(f.kw) > 0):
		return cli.Usagef("--oneway, --stream and --kw are for methods, not for attributes")
	case f.once != "" && (get || set || f.oneway || f.stream):
		return cli.Usagef("--once is for calls of methods with a reply")
	case f.oneway && f.stream:
		return cli.Usagef("--oneway and --stream exclude each other: a oneway call has no reply")
	case (f.oneway || f.stream) && len(f.kw) > 0:
		return cli.Usagef("--kw excludes --oneway and --stream; use positional arguments")
	}
	return nil
}

// call runs one command line.
func (r caller) call(cmd *cobra.Command, f callFlags, args []string) error {
	id, err := remote.ParseObject(args[0])
	if err != nil {
		return err
	}
	run, err := f.plan(args[1:])
	if err != nil {
		return r.meant(err, id, args[1:])
	}
	c, err := r.Dial(1)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx := cmd.Context()
	if !f.stream { // for a stream the client applies --timeout to each item
		var cancel context.CancelFunc
		ctx, cancel = r.Within(ctx)
		defer cancel()
	}
	err = run(ctx, c.Object(id), cmd.OutOrStdout())
	if err == nil {
		return nil
	}
	if f.traceback {
		printTraceback(cmd.ErrOrStderr(), err)
	}
	if hint := r.callHint(ctx, c, id, args[1:], err); hint != "" {
		return fmt.Errorf("%w\n%s", r.Explain(err), hint)
	}
	return r.Explain(err)
}

// plan parses the rest of the command line and returns the operation on the object.
func (f *callFlags) plan(rest []string) (func(context.Context, *client.Object, io.Writer) error, error) {
	if f.get != "" {
		if err := checkMember("attribute", f.get); err != nil {
			return nil, err
		}
		return func(ctx context.Context, o *client.Object, w io.Writer) error {
			v, err := o.Get(ctx, f.get)
			return printResult(w, v, err)
		}, nil
	}
	if f.set != "" {
		name, v, err := parseAssignment("--set", f.set)
		if err != nil {
			return nil, err
		}
		if err := checkMember("attribute", name); err != nil {
			return nil, err
		}
		return func(ctx context.Context, o *client.Object, _ io.Writer) error { return o.Set(ctx, name, v) }, nil
	}
	if len(rest) == 0 {
		return nil, cli.Usagef("--get and --set need the name of an attribute")
	}
	method := rest[0]
	if err := checkMember("method", method); err != nil {
		return nil, err
	}
	args := make([]any, 0, len(rest)-1)
	for i, s := range rest[1:] {
		v, err := value.Parse(cli.Unshield(s))
		if err != nil {
			return nil, cli.Usagef("argument %d of %s: %w", i+1, method, err)
		}
		args = append(args, v)
	}
	kw, err := parseKeywords(f.kw)
	if err != nil {
		return nil, err
	}
	return f.invoke(method, args, kw), nil
}

// parseKeywords parses the values of --kw, each name=value.
func parseKeywords(list []string) (map[string]any, error) {
	var kw map[string]any
	for _, s := range list {
		name, value, err := parseAssignment("--kw", s)
		if err != nil {
			return nil, err
		}
		if _, twice := kw[name]; twice {
			return nil, cli.Usagef("--kw %s: %s is given twice", s, name)
		}
		if kw == nil {
			kw = map[string]any{}
		}
		kw[name] = value
	}
	return kw, nil
}

// parseAssignment parses name=value, the value of a flag.
func parseAssignment(flag, s string) (string, any, error) {
	name, text, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return "", nil, cli.Usagef("%s %s: use name=value", flag, s)
	}
	v, err := value.Parse(text)
	if err != nil {
		return "", nil, cli.Usagef("%s %s: %w", flag, name, err)
	}
	return name, v, nil
}

// meant adds a hint to the error of an invalid method name: a call in the notation of policies, or the assignment of
// an attribute.
func (r caller) meant(err error, id object.ID, rest []string) error {
	if len(rest) == 0 || object.Method(rest[0]).Callable() {
		return err
	}
	if name, _, set := strings.Cut(rest[0], "="); set && object.Method(name).Callable() {
		return fmt.Errorf("%w\nto set an attribute, run hearth call %s --set %s%s",
			err, id, shell.Quote(rest[0]), r.Again())
	}
	if i := strings.LastIndexByte(string(id), '.'); strings.Count(string(id), ".") > 1 {
		return fmt.Errorf("%w\nobject and method are two arguments: hearth call %s %s%s",
			err, id[:i], id[i+1:], r.Again())
	}
	return err
}

// invoke calls a method and prints its result or the items of its stream.
func (f *callFlags) invoke(
	method string, args []any, kw map[string]any,
) func(context.Context, *client.Object, io.Writer) error {
	return func(ctx context.Context, o *client.Object, w io.Writer) error {
		switch {
		case f.oneway:
			return o.Oneway(ctx, method, args...)
		case f.stream:
			for item, err := range o.Stream(ctx, method, args...) {
				if err := printResult(w, item, err); err != nil {
					return err
				}
			}
			return nil
		}
		if f.once != "" {
			v, err := o.CallOnce(ctx, f.once, method, args, kw)
			return printResult(w, v, err)
		}
		v, err := o.CallKw(ctx, method, args, kw)
		return printResult(w, v, err)
	}
}

// printResult writes a value as one line.
func printResult(w io.Writer, v any, err error) error {
	if err != nil {
		return err
	}
	_, err = w.Write(append(value.Append(nil, v), '\n'))
	return err
}

// checkMember rejects a name that is valid on no host.
func checkMember(what, name string) error {
	if !object.Method(name).Callable() {
		return cli.Usagef("%s %q: use letters, digits and '_', a letter first; "+
			"dotted and private names are not callable", what, name)
	}
	return nil
}

func isRemote(err error) bool {
	var re *client.RemoteError
	return errors.As(err, &re)
}

// printTraceback prints the traceback of an exception.
func printTraceback(w io.Writer, err error) {
	var re *client.RemoteError
	if !errors.As(err, &re) {
		return
	}
	text := strings.TrimRight(strings.Join(re.Traceback, ""), "\n")
	if text == "" {
		text = "no traceback: the policy may not permit it"
	}
	fmt.Fprintln(w, display.Escape(text))
}

// callHint returns a hint after a call of a stream or an attribute as an ordinary method.
func (r caller) callHint(ctx context.Context, c *client.Client, id object.ID, rest []string, err error) string {
	if !isRemote(err) {
		if len(rest) > 0 && errors.Is(err, client.ErrStream) {
			return fmt.Sprintf("to print its items, run hearth call %s %s --stream%s", id, rest[0], r.Again())
		}
		return ""
	}
	if hint := keyHint(ctx, c, id); hint != "" {
		return hint
	}
	if len(rest) != 1 {
		return ""
	}
	m, err := c.Object(id).Metadata(ctx)
	if err != nil || !slices.Contains(m.Attrs, rest[0]) {
		return ""
	}
	return fmt.Sprintf("%s is an attribute; run hearth call %s --get %s%s", rest[0], id, rest[0], r.Again())
}

// keyHint returns a hint for an id without a key of a keyed object that the caller may call, or for an id with a key of
// another object.
func keyHint(ctx context.Context, c *client.Client, id object.ID) string {
	family, _, keyed := id.Split()
	ids, err := registered(ctx, c)
	switch {
	case err != nil:
	case slices.Contains(ids, string(family.WithKey(object.AnyKey))) && (!keyed || !object.ValidKey(id.Key())):
		return fmt.Sprintf("%s is keyed: add a key to its id, as in %s", family, family.WithKey("alice"))
	case keyed && slices.Contains(ids, string(family)):
		return fmt.Sprintf("%s is not keyed: call it without a key", family)
	}
	return ""
}

// completeMembers completes an object, then its methods.
func (r caller) completeMembers(
	cmd *cobra.Command, args []string, typed string,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return r.completeObjects(cmd, args, typed)
	}
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return r.completeMethods(cmd.Context(), object.ID(args[0])), cobra.ShellCompDirectiveNoFileComp
}
