package builtin

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// The name server lists the host's objects: every object that the caller may call has its id as its name, and the
// address to which the caller connected. Clients cannot register names.

// Bounds on a client's regular expression. Go's take time in proportion to their size, with repetitions written out,
// and to the names, so both together are bounded.
const (
	maxRegexBytes = 1 << 10
	MaxRegexSize  = 1000
	maxRegexWork  = 512 << 10 // size times names
)

// entry is one name.
type entry struct {
	name string
	tags []string
}

// entries returns the names that the caller may see, sorted, the name server first.
func (c *invocation) entries() []entry {
	out := []entry{c.nameServer()}
	for _, id := range c.snap.Listed.Visible(c.call.Caller) {
		out = append(out, entryOf(id))
	}
	return out
}

// entry returns one of the entries by its name.
func (c *invocation) entry(name string) (entry, bool) {
	if name == string(object.NameServer) {
		return c.nameServer(), true
	}
	id := object.ID(name)
	to, exists := c.snap.Routes.Lookup(id)
	if !exists || to.Builtin != nil || !c.snap.Policy.Visible(c.call.Caller, id) {
		return entry{}, false
	}
	if _, _, keyed := id.Split(); (keyed || to.Keyed) && to.Mode == "" { // loading it decides whether it is keyed
		_, err := c.cfg.Dispatcher.Describe(c.ctx, &c.call.Caller, id)
		return entryOf(id), err == nil
	}
	return entryOf(id), true
}

func (c *invocation) nameServer() entry {
	class := "class:Pyro5.nameserver.NameServer"
	if c.pyro.Generation() == wire.Pyro4 {
		class = "class:Pyro4.naming.NameServer"
	}
	return entry{string(object.NameServer), []string{class}}
}

func entryOf(id object.ID) entry {
	return entry{string(id), []string{"hearth", "tenant:" + string(id.Tenant())}}
}

// location returns the address to which the caller connected, in the form of a Pyro URI.
func (c *invocation) location() string {
	if path, ok := strings.CutPrefix(c.local(), "unix:"); ok {
		return "./u:" + path
	}
	return c.local()
}

// local returns the address that the caller connected to.
func (c *invocation) local() string { return c.call.Caller.Peer.Endpoint.Local }

// uri returns the URI object of a name, in the caller's generation. For HTTP clients it is the path of the object.
func (c *invocation) uri(name string) any {
	if c.web {
		return c.uriText(name)
	}
	var sock, host, port any
	if path, ok := strings.CutPrefix(c.local(), "unix:"); ok {
		sock = path
	} else if h, p, err := net.SplitHostPort(c.local()); err == nil {
		n, _ := strconv.ParseInt(p, 10, 64)
		host, port = h, n
	}
	return codec.Dict{
		{Key: "__class__", Value: c.pyro.Generation().Module() + ".core.URI"},
		{Key: "state", Value: codec.Tuple{"PYRO", name, sock, host, port}},
	}
}

func (c *invocation) uriText(name string) string {
	if c.web {
		return "/v1/objects/" + name
	}
	return "PYRO:" + name + "@" + c.location()
}

// tagged returns tags in the container that the caller's generation uses.
func (c *invocation) tagged(tags []string) any {
	items := make([]any, len(tags))
	for i, t := range tags {
		items[i] = t
	}
	if c.pyro.Generation() == wire.Pyro4 {
		return items
	}
	return codec.Set(items)
}

func nsCount(c *invocation, _ []any) (any, error) {
	return int64(1 + c.snap.Listed.Count(c.call.Caller)), nil
}

func nsLookup(c *invocation, args []any) (any, error) {
	name, err := text("name", args[0])
	if err != nil {
		return nil, err
	}
	if e, ok := c.entry(name); ok {
		if truthy(args[1]) {
			return codec.Tuple{c.uri(name), c.tagged(e.tags)}, nil
		}
		return c.uri(name), nil
	}
	c.cfg.Dispatcher.Hide(&c.call.Caller, object.ID(name), "not an object that this principal may call")
	return nil, &object.Error{Code: object.CodeNotFound, Class: "NamingError", Msg: "unknown name: " + name}
}

// nsList filters by prefix, regular expression or tags. In Pyro5 the third argument is
// return_metadata, in Pyro4 the fifth.
func nsList(c *invocation, args []any) (any, error) {
	withTags := truthy(args[4])
	if c.pyro.Generation() == wire.Pyro5 {
		if _, isFlag := args[2].(bool); isFlag {
			withTags, args[2] = truthy(args[2]), nil
		}
	}
	filters := 0
	for _, a := range args[:4] {
		if a != nil && (c.pyro.Generation() == wire.Pyro4 || truthy(a)) {
			filters++
		}
	}
	if filters > 1 {
		return nil, &object.Error{
			Code:   object.CodeInvalid,
			Reason: object.ReasonValue,
			Msg:    "you can only filter on one thing at a time",
		}
	}
	match, err := nameFilter(args[0], args[1], 1+c.snap.Listed.Count(c.call.Caller))
	if err != nil {
		return nil, err
	}
	byTags, err := tagFilter(args[2], args[3])
	if err != nil {
		return nil, err
	}
	return c.listing(withTags, func(e entry) bool { return match(e.name) && byTags(e.tags) }), nil
}

// nsYellowPages is Pyro5's search by tags.
func nsYellowPages(c *invocation, args []any) (any, error) {
	withTags := truthy(args[2])
	if args[2] == nil {
		withTags = true // the default of Pyro5; a client that omits the argument sends None
	}
	all, anyOf := truthy(args[0]), truthy(args[1])
	if all && anyOf {
		return nil, &object.Error{
			Code:   object.CodeInvalid,
			Reason: object.ReasonValue,
			Msg:    "you can't use meta_all or meta_any at the same time",
		}
	}
	if !all && !anyOf {
		return map[string]any{}, nil
	}
	byTags, err := tagFilter(args[0], args[1])
	if err != nil {
		return nil, err
	}
	return c.listing(withTags, func(e entry) bool { return byTags(e.tags) }), nil
}

func (c *invocation) listing(withTags bool, keep func(entry) bool) map[string]any {
	out := map[string]any{}
	for _, e := range c.entries() {
		switch {
		case !keep(e):
		case withTags:
			out[e.name] = codec.Tuple{c.uriText(e.name), c.tagged(e.tags)}
		default:
			out[e.name] = c.uriText(e.name)
		}
	}
	return out
}

// nameFilter returns a filter for a prefix, or for a regular expression that must match from the start of the name.
// names is the number of names to filter: the more names, the smaller a regular expression must be.
func nameFilter(prefix, regex any, names int) (func(string) bool, error) {
	if truthy(prefix) {
		p, err := text("prefix", prefix)
		return func(s string) bool { return strings.HasPrefix(s, p) }, err
	}
	if !truthy(regex) {
		return func(string) bool { return true }, nil
	}
	r, err := text("regex", regex)
	if err != nil {
		return nil, err
	}
	if len(r) > maxRegexBytes {
		return nil, invalidRegex(fmt.Sprintf("it has %d bytes; at most %d are permitted", len(r), maxRegexBytes))
	}
	// Parse it without the group below: in a group, "a)|(b" would be valid.
	tree, err := syntax.Parse(r, syntax.Perl)
	if err != nil {
		return nil, invalidRegex(regexProblem(r, err))
	}
	if most := min(MaxRegexSize, maxRegexWork/names); regexSize(tree) > most {
		return nil, invalidRegex(fmt.Sprintf(
			"it is too large for %d names: with repetitions written out it has a size of %d; at most %d is permitted",
			names, regexSize(tree), most))
	}
	re, err := regexp.Compile("^(?:" + r + ")")
	if err != nil {
		return nil, invalidRegex(regexProblem(r, err))
	}
	return re.MatchString, nil
}

// regexSize estimates the number of states of a regular expression. A repeated part counts once for each repetition.
// The text of a literal counts less, as few of its states are possible at once.
func regexSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)/8
	for _, sub := range re.Sub {
		size += regexSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return size
}

func invalidRegex(reason string) error {
	return &object.Error{Code: object.CodeInvalid, Class: "NamingError", Msg: "invalid regex: " + reason}
}

// unsupported lists features of Python's regular expressions that Go does not have, by the prefix of the part that Go
// reports.
var unsupported = []struct{ prefix, feature string }{
	{"(?=", "look-ahead"}, {"(?!", "look-ahead"}, {"(?<=", "look-behind"}, {"(?<!", "look-behind"},
	{"(?(", "a conditional group"}, {"(?>", "an atomic group"}, {"(?#", "a comment"},
}

// backReference matches an escape that is a back-reference in Python.
var backReference = regexp.MustCompile(`^\\[1-9]`)

// regexProblem returns the mistake in a regular expression and the part that has it.
func regexProblem(regex string, err error) string {
	var e *syntax.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	problem := e.Code.String()
	for _, u := range unsupported {
		if strings.HasPrefix(e.Expr, u.prefix) {
			problem = u.feature + " is not supported here"
		}
	}
	switch {
	case backReference.MatchString(e.Expr), e.Expr == "(?P" && strings.Contains(regex, "(?P="):
		problem = "a back-reference is not supported here"
	case e.Code == syntax.ErrInvalidRepeatSize:
		problem += " (at most 1000, nested ones multiplied)"
	}
	if e.Expr == "" {
		return problem
	}
	return fmt.Sprintf("%s: %q", problem, e.Expr)
}

// tagFilter returns a filter for names that have all tags of all, or one tag of anyOf.
func tagFilter(all, anyOf any) (func([]string) bool, error) {
	wantAll, err := texts("metadata_all", all)
	if err != nil {
		return nil, err
	}
	wantAny, err := texts("metadata_any", anyOf)
	if err != nil {
		return nil, err
	}
	return func(tags []string) bool {
		has := func(t string) bool { return slices.Contains(tags, t) }
		if len(wantAny) > 0 {
			return slices.ContainsFunc(wantAny, has)
		}
		return !slices.ContainsFunc(wantAll, func(t string) bool { return !has(t) })
	}, nil
}

// nsReadOnly rejects methods that change names.
func nsReadOnly(*invocation, []any) (any, error) {
	return nil, &object.Error{
		Code:  object.CodeDenied,
		Class: "NamingError",
		Msg: "this name server lists the host's own objects and takes no registrations: " +
			"put a script into the scripts folder instead",
	}
}
