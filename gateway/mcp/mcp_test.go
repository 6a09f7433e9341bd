package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/signature"
)

// fakeCaller is a host with some objects.
type fakeCaller struct {
	objects []*object.Description
	reply   Reply
	err     error
	calls   []Call
	unknown []object.ID
}

func (f *fakeCaller) Objects(_ context.Context, most int) ([]*object.Description, error) {
	return f.objects[:min(most, len(f.objects))], nil
}

func (f *fakeCaller) Describe(_ context.Context, id object.ID) (*object.Description, error) {
	for _, d := range f.objects {
		if d.ID == id {
			return d, nil
		}
	}
	return nil, object.Errorf(object.CodeNotFound, "unknown object")
}

func (f *fakeCaller) Unknown(id object.ID) { f.unknown = append(f.unknown, id) }

func (f *fakeCaller) Call(_ context.Context, c Call) (Reply, error) {
	f.calls = append(f.calls, c)
	return f.reply, f.err
}

// connect returns the session of a real client.
func connect(t *testing.T, caller Caller) *mcp.ClientSession {
	t.Helper()
	s := NewServer("test", slog.New(slog.DiscardHandler))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Serve(w, r, caller) }))
	t.Cleanup(web.Close)
	c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	session, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: web.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func method(t *testing.T, name, comment string, params ...string) object.Member {
	t.Helper()
	f, warnings := signature.Parse(signature.Comment{Text: comment, Params: params}, nil)
	if len(warnings) > 0 {
		t.Fatal(warnings)
	}
	return object.Member{Name: object.Method(name), Doc: f.Doc, Method: true, Function: f}
}

func objects(t *testing.T) []*object.Description {
	return []*object.Description{
		{ID: "acme.cart", Instance: object.Keyed, Members: []object.Member{
			method(t, "put", "Puts a thing.\n@param what string the thing\n@param n? integer\n@return number",
				"what", "n"),
		}},
		{ID: "acme.counter", Doc: "Counts.", Members: []object.Member{
			method(t, "add", "", "k"),
			{Name: "all", Method: true, Function: &signature.Function{
				Variadic: &signature.Param{Name: "...", Type: &signature.Type{}}}},
			{Name: "total", Get: true, Set: true},
		}},
		{ID: "acme.counter.total", Members: []object.Member{method(t, "get", "")}},
	}
}

func TestList(t *testing.T) {
	session := connect(t, &fakeCaller{objects: objects(t)})
	list, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	want := []string{"acme.cart.put", "acme.counter.add", "acme.counter.all", "acme.counter.total.set",
		"acme.counter.total.get"}
	if !slices.Equal(names, want) {
		t.Errorf("tools %q, want %q", names, want)
	}
	if list.CacheScope != "private" {
		t.Errorf("cache scope %q: other callers could get the list", list.CacheScope)
	}
	put := list.Tools[0]
	if put.Description != "Puts a thing." {
		t.Errorf("description %q", put.Description)
	}
	got, err := json.Marshal(put.InputSchema)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"required":["object_key","what"]`, `"type":"object"`,
		`"description":"the thing"`} {
		if !bytes.Contains(got, []byte(part)) {
			t.Errorf("input schema %s does not have %s", got, part)
		}
	}
	if put.OutputSchema == nil || list.Tools[1].OutputSchema != nil {
		t.Errorf("output schemas %v, %v; only the declared result has one", put.OutputSchema,
			list.Tools[1].OutputSchema)
	}
}

func TestListIsBounded(t *testing.T) {
	var many []*object.Description
	for i := range 2 * MaxTools {
		many = append(many, &object.Description{ID: object.ID(fmt.Sprintf("acme.o%03d", i)),
			Members: []object.Member{{Name: "m", Method: true, Doc: strings.Repeat("é", MaxDoc)}}})
	}
	many[0].ID = object.ID("acme." + strings.Repeat("x", MaxName))
	list, err := connect(t, &fakeCaller{objects: many}).ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(list.Tools); n == 0 || n > MaxTools {
		t.Errorf("%d tools", n)
	}
	for _, tool := range list.Tools {
		if len(tool.Name) > MaxName || len(tool.Description) > MaxDoc {
			t.Errorf("a name of %d bytes, a description of %d", len(tool.Name), len(tool.Description))
		}
	}
}

func TestCall(t *testing.T) {
	exception := []byte(`{"__class__": "KeyError", "args": ["gone"], "attributes": {}}`)
	for _, tt := range []struct {
		tool, args string
		reply      Reply
		err        error
		want       string // "ID kind member payload"; "" if nothing is called
		text       string // of the result; an error begins with "!", one of the protocol with "!!"
	}{
		{"acme.counter.add", `{"k": 5}`, Reply{Value: []byte(`6`)}, nil, `acme.counter 1 add {"k":5}`, "6"},
		{"acme.counter.add", `{}`, Reply{Value: []byte(`"six"`)}, nil, `acme.counter 1 add `, "six"},
		{"acme.counter.add", ``, Reply{}, nil, `acme.counter 1 add `, "null"},
		{"acme.counter.all", `{"arguments": [1, 2]}`, Reply{Value: []byte(`3`)}, nil, `acme.counter 1 all [1,2]`,
			"3"},
		{"acme.counter.all", `{"arguments": 1}`, Reply{}, nil, "", `!the argument "arguments" must be an array`},
		{"acme.counter.total.set", `{"value": [1]}`, Reply{Value: []byte(`null`)}, nil, `acme.counter 3 total [1]`,
			"null"},
		{"acme.counter.total.set", `{}`, Reply{}, nil, "", `!writing an attribute takes one argument "value"`},
		{"acme.counter.total.get", `{}`, Reply{Value: []byte(`7`)}, nil, `acme.counter.total 1 get `, "7"},
		{"acme.cart.put", `{"object_key": "ann", "what": "tea"}`, Reply{Value: []byte(`1`)}, nil,
			`acme.cart:ann 1 put {"what":"tea"}`, "1"},
		{"acme.cart.put", `{"what": "tea"}`, Reply{}, nil, "", `!the argument "object_key" must be`},
		{"acme.cart.put", `{"object_key": "../x"}`, Reply{}, nil, "", `!the argument "object_key" must be`},
		{"acme.cart:ann.put", `{}`, Reply{}, nil, "", `!!unknown tool "acme.cart:ann.put"`},
		{"acme.counter.none", `{}`, Reply{}, nil, "", `!!unknown tool "acme.counter.none"`},
		{"acme.hidden.add", `{}`, Reply{}, nil, "", `!!unknown tool "acme.hidden.add"`},
		{"add", `{}`, Reply{}, nil, "", `!!unknown tool "add"`},
		{strings.Repeat("a", 300) + ".b", `{}`, Reply{}, nil, "", `!!unknown tool "aaaa`},
		{"acme.counter.add", `{"k": 1, "k": 2}`, Reply{}, nil, "", `!json: the key`},
		{"acme.counter.add", `{"k": 1}`, Reply{Value: exception, Exception: true}, nil,
			`acme.counter 1 add {"k":1}`, "!KeyError: gone"},
		{"acme.counter.add", `{}`, Reply{}, object.Errorf(object.CodeNotFound, "unknown object"),
			`acme.counter 1 add `, `!!unknown tool "acme.counter.add"`},
		{"acme.counter.add", `{}`, Reply{}, object.Errorf(object.CodeExhausted, "limit exceeded; not executed"),
			`acme.counter 1 add `, "!limit exceeded; not executed"},
		{"acme.counter.add", `{}`, Reply{}, &object.Error{Code: object.CodeInternal, Err: fmt.Errorf("/secret")},
			`acme.counter 1 add `, "!internal error"},
	} {
		t.Run(clip(tt.tool, 40)+tt.args, func(t *testing.T) {
			f := &fakeCaller{objects: objects(t), reply: tt.reply, err: tt.err}
			session := connect(t, f)
			params := &mcp.CallToolParams{Name: tt.tool}
			if tt.args != "" {
				params.Arguments = json.RawMessage(tt.args)
			}
			result, err := session.CallTool(t.Context(), params)
			text := ""
			switch {
			case err != nil:
				_, after, _ := strings.Cut(err.Error(), "unknown tool")
				text = "!!unknown tool" + after
			default:
				text = result.Content[0].(*mcp.TextContent).Text
				if result.IsError {
					text = "!" + text
				}
			}
			if !strings.HasPrefix(text, tt.text) {
				t.Errorf("%q, want %q", text, tt.text)
			}
			got := ""
			for _, c := range f.calls {
				got += fmt.Sprintf("%s %d %s %s", c.ID, c.Kind, c.Member, c.Payload)
			}
			if got != tt.want {
				t.Errorf("called %q, want %q", got, tt.want)
			}
			_, _, named := cutMember(tt.tool)
			if recorded := len(f.unknown) > 0; recorded != (named && strings.HasPrefix(text, "!!") && got == "") {
				t.Errorf("a denial is recorded: %v", recorded)
			}
		})
	}
}

// TestStream checks that a result has a part of a stream, and that the stream is closed.
func TestStream(t *testing.T) {
	for _, tt := range []struct {
		items int
		size  int
		more  bool
		kept  int
	}{
		{3, 1, false, 3},
		{maxItems, 1, false, maxItems},
		{maxItems + 1, 1, true, maxItems},
		{3, maxBytes / 2, true, 1},
	} {
		sent, closed := 0, false
		f := &fakeCaller{objects: objects(t), reply: Reply{
			Next: func(context.Context) ([]byte, bool, error) {
				sent++
				return []byte(`"` + strings.Repeat("1", tt.size) + `"`), sent <= tt.items, nil
			},
			Close: func() { closed = true },
		}}
		result, err := connect(t, f).CallTool(t.Context(), &mcp.CallToolParams{Name: "acme.counter.add"})
		if err != nil {
			t.Fatal(err)
		}
		doc, err := json.Marshal(result.StructuredContent)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Object string
			Result []string
			More   bool
		}
		if err := json.Unmarshal(doc, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Result) != tt.kept || got.More != tt.more || got.Object != "acme.counter" || !closed {
			t.Errorf("%d items of %d bytes: %d of %s, more = %v, closed = %v", tt.items, tt.size, len(got.Result),
				got.Object, got.More, closed)
		}
	}
}

// TestEveryRequestIsDecided checks that a tool of an earlier list is not callable when its object is hidden.
func TestEveryRequestIsDecided(t *testing.T) {
	f := &fakeCaller{objects: objects(t), reply: Reply{Value: []byte("1")}}
	session := connect(t, f)
	if _, err := session.ListTools(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.objects = nil
	_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "acme.counter.add"})
	if err == nil || len(f.calls) > 0 {
		t.Errorf("CallTool() = %v, %d calls", err, len(f.calls))
	}
}
