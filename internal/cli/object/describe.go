package object

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/gateway/web/openapi"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/remote"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/api"
	"github.com/hearthhost/hearth/signature"
)

func newDescribe(r caller) *cobra.Command {
	var asJSON, names, asOpenAPI bool
	cmd := &cobra.Command{
		Use:   "describe OBJECT | --api",
		Short: "Show the methods and attributes of an object",
		Long: `Show the documentation of an object, its instance mode, and every method and attribute that you
may call. "oneway" methods have no reply; hearth call --get reads attributes and --set writes
them. With --api, show every name that a script can use instead, which needs no host.`,
		Example: `  hearth describe acme.counter
  hearth describe acme.counter --json
  hearth describe acme.counter --openapi
  hearth describe --api`,
		Args: func(cmd *cobra.Command, args []string) error {
			if names {
				return cli.ExactArgs()(cmd, args)
			}
			return cli.ExactArgs("OBJECT")(cmd, args)
		},
		ValidArgsFunction: r.completeObjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if names {
				return printAPI(cmd.OutOrStdout(), asJSON)
			}
			id, err := remote.ParseObject(args[0])
			if err != nil {
				return err
			}
			ctx, cancel := r.Within(cmd.Context())
			defer cancel()
			c, err := r.Dial(1)
			if err != nil {
				return err
			}
			defer c.Close()
			d, err := describe(ctx, c, id)
			if err != nil {
				return r.Explain(err)
			}
			if asJSON && !asOpenAPI {
				if err := display.JSON(cmd.OutOrStdout(), d); err != nil {
					return err
				}
			}
			if d.Error != "" {
				return fmt.Errorf("%s does not load: %s", id, d.Error)
			}
			if asOpenAPI {
				info := openapi.Info{Title: string(id), Version: "1"}
				return display.JSON(cmd.OutOrStdout(), openapi.Document(info, []*object.Description{&d.Description}))
			}
			if !asJSON {
				printDescription(cmd.OutOrStdout(), d.Description)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&names, "api", false, "show every name that a script can use")
	cmd.Flags().BoolVar(&asOpenAPI, "openapi", false, "print an OpenAPI document, for requests to a listener for HTTP")
	cli.JSONFlag(cmd, &asJSON)
	r.Flags(cmd)
	return cmd
}

func printAPI(w io.Writer, asJSON bool) error {
	if asJSON {
		return display.JSON(w, api.Entries())
	}
	for _, e := range api.Entries() {
		fmt.Fprintf(w, "%s\t%s\n", e.Kind, e.Name)
	}
	return nil
}

var instanceText = map[object.InstanceMode]string{
	object.Single:  "one for all callers, one call at a time",
	object.Session: "one for each connection",
	object.PerCall: "a new one for each call",
	object.Keyed:   "one for each key, one call of a key at a time",
}

func printDescription(w io.Writer, d object.Description) {
	fmt.Fprintln(w, display.Quote(string(d.ID)))
	printDoc(w, "  ", d.Doc)
	if text := instanceText[d.Instance]; text != "" {
		fmt.Fprintf(w, "  instance: %s (%s)\n", d.Instance, text)
	}
	if d.Once {
		fmt.Fprintln(w, "  once: a call with a correlation id is executed at most once")
	}
	section := func(title string, method bool) {
		first := true
		for _, m := range d.Members {
			if m.Method != method {
				continue
			}
			if first {
				fmt.Fprintf(w, "\n%s:\n", title)
				first = false
			}
			fmt.Fprintf(w, "  %s%s%s\n", display.Quote(string(m.Name)), signatureText(m), memberNote(m))
			printDoc(w, "      ", m.Doc)
			printParams(w, m.Function)
		}
	}
	section("methods", true)
	section("attributes", false)
}

// printParams prints the documented parameters and results of a method.
func printParams(w io.Writer, f *signature.Function) {
	if f == nil {
		return
	}
	for _, p := range f.Params {
		if p.Doc != "" {
			printDoc(w, "      ", p.Name+": "+p.Doc)
		}
	}
	for _, r := range f.Returns {
		if r.Doc != "" {
			printDoc(w, "      ", "returns "+r.Doc)
		}
	}
}

// signatureText returns the parameters and results of a method, or the type of an attribute.
func signatureText(m object.Member) string {
	if m.Method || m.Signature == "" {
		return display.Escape(m.Signature)
	}
	return ": " + display.Escape(m.Signature)
}

// memberNote returns a note about a member: oneway, or the access to an attribute.
func memberNote(m object.Member) string {
	switch {
	case m.Oneway:
		return "  (oneway)"
	case m.Method:
		return ""
	case m.Get && m.Set:
		return "  (read, write)"
	case m.Get:
		return "  (read only)"
	case m.Set:
		return "  (write only)"
	}
	return "" // other daemons than hearth do not report it
}

func printDoc(w io.Writer, indent, doc string) {
	for line := range strings.Lines(strings.TrimSpace(display.Escape(doc))) {
		fmt.Fprintln(w, strings.TrimRight(indent+line, " \r\n"))
	}
}
