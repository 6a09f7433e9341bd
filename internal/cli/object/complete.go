package object

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/remote"
	"github.com/hearthhost/hearth/object"
)

// completeTimeout is the time limit of a completion: the shell waits for it.
const completeTimeout = time.Second

// maxCompletionDoc is the largest size of the description of a completion in bytes.
const maxCompletionDoc = 200

// completeObjects completes the ids of the objects that the caller may call.
func (r caller) completeObjects(cmd *cobra.Command, args []string, _ string) (
	[]cobra.Completion, cobra.ShellCompDirective,
) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	r.Timeout = completeTimeout
	ctx, cancel := r.Within(cmd.Context())
	defer cancel()
	c, err := r.Dial(1)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	ids, err := registered(ctx, c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return offerObjects(ids), cobra.ShellCompDirectiveNoFileComp
}

// completeMethods completes the methods of an object, with the first line of their documentation.
func (r caller) completeMethods(ctx context.Context, id object.ID) []cobra.Completion {
	r.Timeout = completeTimeout
	ctx, cancel := r.Within(ctx)
	defer cancel()
	c, err := r.Dial(1)
	if err != nil {
		return nil
	}
	defer c.Close()
	d, err := describe(ctx, c, id)
	if err != nil {
		return nil
	}
	return offerMethods(d.Members)
}

// offerObjects returns the valid ids. A shell inserts a completion unchanged into the command line, so a malicious host
// could otherwise make the user run another command.
func offerObjects(ids []string) []cobra.Completion {
	return slices.DeleteFunc(slices.Clone(ids), func(s string) bool {
		_, err := remote.ParseObject(s)
		return err != nil
	})
}

// offerMethods returns the methods with valid names. Shells do not insert their documentation.
func offerMethods(members []object.Member) []cobra.Completion {
	var out []cobra.Completion
	for _, m := range members {
		if !m.Method || !m.Name.Callable() {
			continue
		}
		doc, _, _ := strings.Cut(m.Doc, "\n")
		if len(doc) > maxCompletionDoc {
			doc = strings.ToValidUTF8(doc[:maxCompletionDoc], "") + "…"
		}
		out = append(out, cobra.CompletionWithDesc(string(m.Name), display.Inline(doc)))
	}
	return out
}
