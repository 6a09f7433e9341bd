package builtin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/object"
)

// nextItem is the method that fetches an item of a stream.
const nextItem = "get_next_stream_item"

// streamMethods are the methods that HTTP clients do not have: their streams are answers of the calls that open them.
var streamMethods = map[object.Method]bool{nextItem: true, "close_stream": true}

// daemonMethods are the methods of Pyro.Daemon. Their results contain only objects that the caller may call.
var daemonMethods map[object.Method]method

// nameServerMethods are the methods of Pyro.NameServer.
var nameServerMethods map[object.Method]method

func init() { //nolint:gochecknoinits // the tables and the methods refer to each other
	daemonMethods = map[object.Method]method{
		"ping":       {nil, func(*invocation, []any) (any, error) { return nil, nil }},
		"info":       {nil, daemonInfo},
		"registered": {nil, daemonRegistered},
		"get_metadata": {[]string{"objectId", "as_lists"}, func(c *invocation, args []any) (any, error) {
			id, err := text("objectId", args[0])
			if err != nil {
				return nil, err
			}
			return c.metadata(object.ID(id), truthy(args[1]))
		}},
		nextItem: {[]string{"streamId"}, func(c *invocation, args []any) (any, error) {
			id, err := text("streamId", args[0])
			if err != nil {
				return nil, err
			}
			r, err := c.cfg.Dispatcher.Next(c.ctx, c.call, id)
			return encoded(r), err
		}},
		"close_stream": {[]string{"streamId"}, func(c *invocation, args []any) (any, error) {
			id, err := text("streamId", args[0])
			if err != nil {
				return nil, err
			}
			c.cfg.Dispatcher.CloseStream(id, c.call.Caller.Principal)
			return nil, nil
		}},
		"describe": {[]string{"objectId"}, daemonDescribe},
		"refused":  {nil, daemonRefused},
	}
	nameServerMethods = map[object.Method]method{
		"ping":         {nil, func(*invocation, []any) (any, error) { return nil, nil }},
		"count":        {nil, nsCount},
		"lookup":       {[]string{"name", "return_metadata"}, nsLookup},
		"list":         {[]string{"prefix", "regex", "metadata_all", "metadata_any", "return_metadata"}, nsList},
		"yplookup":     {[]string{"meta_all", "meta_any", "return_metadata"}, nsYellowPages},
		"register":     {[]string{"name", "uri", "safe", "metadata"}, nsReadOnly},
		"set_metadata": {[]string{"name", "metadata"}, nsReadOnly},
		"remove":       {[]string{"name", "prefix", "regex"}, nsReadOnly},
	}
}

func daemonInfo(c *invocation, _ []any) (any, error) {
	return fmt.Sprintf("Pyro.Daemon of hearth %s on %s, %d objects registered.",
		c.cfg.Version, c.call.Caller.Peer.Endpoint.Local, c.snap.Listed.Count(c.call.Caller)+2), nil
}

func daemonRegistered(c *invocation, _ []any) (any, error) {
	out := []any{string(object.Daemon), string(object.NameServer)}
	for _, id := range c.snap.Listed.Visible(c.call.Caller) {
		out = append(out, string(id))
	}
	return out, nil
}

// metadata returns an object's Pyro metadata for the caller.
func (c *invocation) metadata(id object.ID, asLists bool) (any, error) {
	d, err := c.cfg.Dispatcher.Describe(c.ctx, &c.call.Caller, id)
	if err != nil {
		return nil, err
	}
	return pyro.Metadata(d, asLists), nil
}

// daemonDescribe returns Pyro's metadata, the docs, the instance mode and the writable attributes. Pyro does not have
// this method.
func daemonDescribe(c *invocation, args []any) (any, error) {
	id, err := text("objectId", args[0])
	if err != nil {
		return nil, err
	}
	d, err := c.cfg.Dispatcher.Describe(c.ctx, &c.call.Caller, object.ID(id))
	if err != nil {
		return nil, err
	}
	members := []any{}
	for _, m := range d.Members {
		member := map[string]any{
			"name":      string(m.Name),
			"doc":       m.Doc,
			"method":    m.Method,
			"oneway":    m.Oneway,
			"get":       m.Get,
			"set":       m.Set,
			"signature": m.Signature,
		}
		if m.Function != nil {
			member["function"] = plain(m.Function)
		}
		if m.Value != nil {
			member["value"] = m.Value.String()
		}
		members = append(members, member)
	}
	out := map[string]any{"id": string(d.ID), "doc": d.Doc, "instance": string(d.Instance), "members": members}
	if d.Once {
		out["once"] = true
	}
	if d.Types != nil {
		out["types"] = plain(d.Types)
	}
	if refused := c.refusal(d); refused != "" {
		out["refused"] = refused
	}
	return out, nil
}

// plain returns the JSON of a signature, or of named types, as values. Both have a JSON without numbers.
func plain(v any) any {
	doc, err := json.Marshal(v)
	var out any
	if err != nil || json.Unmarshal(doc, &out) != nil {
		return nil
	}
	return out
}

// Bounds on the result of daemonRefused, whose size a tenant can influence.
const (
	maxReasonBytes      = 200
	maxRefusedPerTenant = 100
)

// daemonRefused returns the objects that are not served since they do not load, each with the reason. It lists only
// those that the caller may call and whose tracebacks the caller may see. Pyro does not have this method.
func daemonRefused(c *invocation, _ []any) (any, error) {
	out := map[string]any{}
	listed := map[object.Tenant]int{}
	refused := c.cfg.Refusals()
	visible := refused.Debugs(c.snap.Policy, c.call.Caller)
	for _, r := range refused.All {
		_, ok := slices.BinarySearch(visible, r.ID)
		_, keyed := c.snap.Routes.Listed(r.ID.WithKey(object.AnyKey))
		if !ok || keyed || c.snap.Has(r.ID) || listed[r.ID.Tenant()] >= maxRefusedPerTenant {
			continue
		}
		listed[r.ID.Tenant()]++
		reason := strings.TrimPrefix(r.Err, string(r.ID)+" does not load: ")
		out[string(r.ID)] = strings.ToValidUTF8(reason[:min(len(reason), maxReasonBytes)], "")
	}
	return out, nil
}

// refusal returns the reason why the current file of an object is not served. It returns "" if the file is served, or
// if the caller may not see the object's tracebacks.
func (c *invocation) refusal(d *object.Description) string {
	all := c.cfg.Refusals().All
	i := slices.IndexFunc(all, func(r fault.Refusal) bool { return r.ID == d.ID.Family() })
	instances := c.snap.Policy.Examples(&c.call.Caller, d.ID)
	traceback := func(m object.Member) bool {
		return slices.ContainsFunc(instances, func(id object.ID) bool {
			return c.snap.Policy.Decide(c.call.Caller, id, m.Name).Traceback
		})
	}
	if i < 0 || !slices.ContainsFunc(d.Members, traceback) {
		return ""
	}
	return all[i].Err
}
