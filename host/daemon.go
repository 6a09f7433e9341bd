package host

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// daemonMethods is Pyro.Daemon. Everything it tells is what its caller may call.
var daemonMethods map[object.Method]builtin

// nameServerMethods is Pyro.NameServer.
var nameServerMethods map[object.Method]builtin

func init() { //nolint:gochecknoinits // the tables and the methods refer to each other
	daemonMethods = map[object.Method]builtin{
		"ping":       {nil, func(*conn, *snapshot, *object.Call, []any) (any, error) { return nil, nil }},
		"info":       {nil, daemonInfo},
		"registered": {nil, daemonRegistered},
		"get_metadata": {[]string{"objectId", "as_lists"}, func(c *conn, snap *snapshot, _ *object.Call, args []any) (any, error) {
			id, err := text("objectId", args[0])
			if err != nil {
				return nil, err
			}
			return c.metadata(snap, object.ID(id), truthy(args[1]))
		}},
		nextItem: {[]string{"streamId"}, func(c *conn, snap *snapshot, call *object.Call, args []any) (any, error) {
			id, err := text("streamId", args[0])
			if err != nil {
				return nil, err
			}
			r, err := c.nextItem(snap, call, id)
			return raw(r), err
		}},
		"close_stream": {[]string{"streamId"}, func(c *conn, _ *snapshot, _ *object.Call, args []any) (any, error) {
			id, err := text("streamId", args[0])
			if err != nil {
				return nil, err
			}
			c.h.streams.close(id, c.caller.Principal)
			return nil, nil
		}},
		"describe": {[]string{"objectId"}, daemonDescribe},
		"refused":  {nil, daemonRefused},
	}
	nameServerMethods = map[object.Method]builtin{
		"ping":         {nil, func(*conn, *snapshot, *object.Call, []any) (any, error) { return nil, nil }},
		"count":        {nil, nsCount},
		"lookup":       {[]string{"name", "return_metadata"}, nsLookup},
		"list":         {[]string{"prefix", "regex", "metadata_all", "metadata_any", "return_metadata"}, nsList},
		"yplookup":     {[]string{"meta_all", "meta_any", "return_metadata"}, nsYellowPages},
		"register":     {[]string{"name", "uri", "safe", "metadata"}, nsReadOnly},
		"set_metadata": {[]string{"name", "metadata"}, nsReadOnly},
		"remove":       {[]string{"name", "prefix", "regex"}, nsReadOnly},
	}
}

func daemonInfo(c *conn, snap *snapshot, _ *object.Call, _ []any) (any, error) {
	return fmt.Sprintf("Pyro.Daemon of hearth %s on %s, %d objects registered.",
		c.h.cfg.Version, c.listener.Addr(), snap.listed.Count(c.caller)+2), nil
}

func daemonRegistered(c *conn, snap *snapshot, _ *object.Call, _ []any) (any, error) {
	out := []any{string(object.Daemon), string(object.NameServer)}
	for _, id := range snap.listed.Visible(c.caller) {
		out = append(out, string(id))
	}
	return out, nil
}

// describe returns the object's description with the members that the caller may call.
func (c *conn) describe(snap *snapshot, id object.ID) (*object.Description, error) {
	if !snap.has(id) || !snap.policy.Visible(c.caller, id) {
		c.unseen(id, "not an object that this principal may call")
		return nil, errUnknown
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	full, err := snap.backend(id).Describe(ctx, id)
	if err != nil {
		return nil, err
	}
	d := *full
	d.Members = nil
	for _, m := range full.Members {
		may := (m.Method || m.Oneway || m.Get) && snap.policy.Decide(c.caller, id, m.Name).Permit
		m.Method, m.Oneway, m.Get = m.Method && may, m.Oneway && may, m.Get && may
		m.Set = m.Set && snap.policy.DecideSet(c.caller, id, m.Name).Permit
		if may || m.Set {
			d.Members = append(d.Members, m)
		}
	}
	if d.Members == nil && full.Members != nil {
		// The policy permits methods that the object has not, and it has others.
		c.unseen(id, "it has nothing that this principal may call")
		return nil, errUnknown
	}
	return &d, nil
}

// unseen records that the caller was not shown an object.
func (c *conn) unseen(id object.ID, why string) {
	c.h.deny(&audit.Record{Event: "see", Caller: &c.caller, Object: id, Reason: "denied: " + why})
}

// metadata returns what a Pyro client wants to know of an object: its methods, which
// of them are oneway, and its attributes.
func (c *conn) metadata(snap *snapshot, id object.ID, asLists bool) (any, error) {
	var methods, oneway, attrs []any
	switch id {
	case object.Daemon:
		for _, m := range []string{"ping", "info", "registered", "get_metadata", "get_next_stream_item", "close_stream", "describe", "refused"} {
			methods = append(methods, m)
		}
	case object.NameServer:
		for m := range nameServerMethods {
			methods = append(methods, string(m))
		}
	default:
		d, err := c.describe(snap, id)
		if err != nil {
			return nil, err
		}
		for _, m := range d.Members {
			if m.Method {
				methods = append(methods, string(m.Name))
			}
			if m.Oneway {
				oneway = append(oneway, string(m.Name))
			}
			if m.Get || m.Set {
				attrs = append(attrs, string(m.Name))
			}
		}
	}
	collection := func(v []any) any {
		if asLists {
			if v == nil {
				return []any{}
			}
			return v
		}
		return codec.Set(v)
	}
	return map[string]any{"methods": collection(methods), "oneway": collection(oneway), "attrs": collection(attrs)}, nil
}

// daemonDescribe tells more than Pyro's metadata: docs, instance mode, which attributes
// can be written. It is hearth's own addition.
func daemonDescribe(c *conn, snap *snapshot, _ *object.Call, args []any) (any, error) {
	id, err := text("objectId", args[0])
	if err != nil {
		return nil, err
	}
	d, err := c.describe(snap, object.ID(id))
	if err != nil {
		return nil, err
	}
	members := []any{}
	for _, m := range d.Members {
		members = append(members, map[string]any{"name": string(m.Name), "doc": m.Doc, "method": m.Method,
			"oneway": m.Oneway, "get": m.Get, "set": m.Set})
	}
	out := map[string]any{"id": string(d.ID), "doc": d.Doc, "instance": string(d.Instance), "members": members}
	if refused := c.refused(snap, d); refused != "" {
		out["refused"] = refused
	}
	return out, nil
}

// Bounds on what is told of objects that are not served: their tenant can make it long.
const (
	maxReasonBytes    = 200
	maxTenantsRefused = 100 // of one tenant
)

// daemonRefused tells of the objects that do not load and so are not served at all, and why,
// to callers who could call them and see tracebacks. It is hearth's own addition.
func daemonRefused(c *conn, snap *snapshot, _ *object.Call, _ []any) (any, error) {
	out := map[string]any{}
	told := map[object.Tenant]int{}
	refused := c.h.refusals.Load()
	may := refused.debugs(snap.policy, c.caller)
	for _, r := range refused.all {
		if _, seen := slices.BinarySearch(may, r.ID); !seen || snap.has(r.ID) || told[r.ID.Tenant()] >= maxTenantsRefused {
			continue
		}
		told[r.ID.Tenant()]++
		reason := strings.TrimPrefix(r.Err, string(r.ID)+" does not load: ")
		out[string(r.ID)] = strings.ToValidUTF8(reason[:min(len(reason), maxReasonBytes)], "")
	}
	return out, nil
}

// refused says why another version of an object than that in its file serves, to a caller
// who may see tracebacks of it; "" if none does.
func (c *conn) refused(snap *snapshot, d *object.Description) string {
	all := c.h.Refusals()
	i := slices.IndexFunc(all, func(r Refusal) bool { return r.ID == d.ID })
	if i < 0 || !slices.ContainsFunc(d.Members, func(m object.Member) bool { return snap.policy.Decide(c.caller, d.ID, m.Name).Traceback }) {
		return ""
	}
	return all[i].Err
}
