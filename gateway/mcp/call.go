package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/hearthhost/hearth/codec"
	format "github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/object"
)

// call runs a tool. A name that is no tool of the caller is an error of the protocol. A later failure is a result with
// isError, which the model can read.
func (s *Server) call(ctx context.Context, caller Caller, p *mcp.CallToolParamsRaw) (mcp.Result, error) {
	t, err := find(ctx, caller, p.Name)
	switch {
	case err != nil:
		return nil, protocolError(err)
	case t == nil:
		if id, _, ok := cutMember(p.Name); ok {
			caller.Unknown(id)
		}
		return nil, unknownTool(p.Name)
	}
	c, err := t.request(p.Arguments)
	if err != nil {
		return failed(err.Error()), nil
	}
	reply, err := caller.Call(ctx, c)
	switch {
	case err != nil && object.CodeOf(err) == object.CodeNotFound: // no longer permitted
		return nil, unknownTool(p.Name)
	case err != nil:
		return failed(failure(err)), nil
	case reply.Next != nil:
		return collect(ctx, c.ID, reply), nil
	case reply.Exception:
		return failed(exceptionText(reply.Value)), nil
	}
	return succeeded(content{Object: c.ID, Result: reply.Value}), nil
}

// request returns the call of a tool with arguments.
func (t *tool) request(args json.RawMessage) (Call, error) {
	c := Call{ID: t.about.ID, Kind: t.kind, Member: t.member.Name}
	given, err := members(args)
	if err != nil {
		return c, err
	}
	if t.about.Instance == object.Keyed {
		var key string
		if json.Unmarshal(given[argKey], &key) != nil || !object.ValidKey(key) {
			return c, errors.New(`the argument "` + argKey + `" must be the key of an instance: 1 to 128 letters, ` +
				`digits, "_", "-", "." and "~"`)
		}
		delete(given, argKey)
		c.ID = c.ID.WithKey(key)
	}
	switch {
	case t.kind == object.Get:
		if len(given) > 0 {
			return c, errors.New("reading an attribute takes no arguments")
		}
	case t.kind == object.Set:
		value, ok := given[argValue]
		if !ok || len(given) != 1 {
			return c, errors.New(`writing an attribute takes one argument "` + argValue + `"`)
		}
		c.Payload = value
	case t.positional() && len(given) == 1 && given[argRest] != nil:
		rest := bytes.TrimSpace(given[argRest])
		if rest[0] != '[' {
			return c, errors.New(`the argument "` + argRest + `" must be an array`)
		}
		c.Payload = rest
	case len(given) > 0:
		if c.Payload, err = json.Marshal(given); err != nil {
			return c, err
		}
	}
	return c, nil
}

// members returns the arguments by name.
func members(args json.RawMessage) (map[string]json.RawMessage, error) {
	args = bytes.TrimSpace(args)
	if len(args) == 0 || string(args) == "null" {
		return nil, nil
	}
	if err := format.Decode(args, codec.Limits{}, codec.Discard); err != nil { // duplicate names, depth, invalid UTF-8
		return nil, errors.New(object.SafeText(err))
	}
	given := map[string]json.RawMessage{}
	if err := json.Unmarshal(args, &given); err != nil {
		return nil, errors.New("the arguments must be a JSON object")
	}
	return given, nil
}

// content is the structured content of a result. The result is data of the object's tenant, which the id names.
type content struct {
	Object object.ID       `json:"object"`
	Result json.RawMessage `json:"result"`
	More   bool            `json:"more,omitempty"` // the stream has more items
}

func succeeded(c content) *mcp.CallToolResult {
	if len(c.Result) == 0 {
		c.Result = json.RawMessage("null")
	}
	text := string(c.Result)
	var s string
	if json.Unmarshal(c.Result, &s) == nil && c.Result[0] == '"' {
		text = s
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}, StructuredContent: c}
}

func failed(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}, IsError: true}
}

// collect returns the first items of a stream.
func collect(ctx context.Context, id object.ID, r Reply) *mcp.CallToolResult {
	defer r.Close()
	items := []byte{'['}
	more := false
	for n := 0; ; n++ {
		item, ok, err := r.Next(ctx)
		if err != nil {
			return failed(object.SafeText(err))
		}
		if !ok {
			break
		}
		if n == maxItems || len(items)+len(item) > maxBytes {
			more = true
			break
		}
		if n > 0 {
			items = append(items, ',')
		}
		items = append(items, item...)
	}
	return succeeded(content{Object: id, Result: append(items, ']'), More: more})
}

// failure returns the text of a failed call, with its state if the call was not executed.
func failure(err error) string {
	text := object.SafeText(err)
	if object.AsError(err).Executed() == object.NotExecuted && !strings.Contains(text, "not executed") {
		text += "; not executed"
	}
	return text
}

// exceptionText returns the class and message of an exception.
func exceptionText(payload []byte) string {
	e, err := format.ScanException(payload)
	switch {
	case err != nil:
		return "the object raised an exception that cannot be read"
	case e.Message == "":
		return e.Class
	}
	return e.Class + ": " + e.Message
}
