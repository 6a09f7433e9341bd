package plugins

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// TestDescriptionFlood: the objects that the policy lists bound the work and the log lines of a plugin's description. A
// plugin with more objects is rejected.
func TestDescriptionFlood(t *testing.T) {
	t.Parallel()
	objects := func(n int, name func(int) string) *rpc.DescribeReply {
		r := &rpc.DescribeReply{Objects: []*rpc.Object{{Instance: string(object.PerCall)}}}
		for i := range n {
			r.Objects = append(r.Objects, &rpc.Object{Name: name(i), Instance: string(object.PerCall)})
		}
		return r
	}
	other := func(i int) string { return fmt.Sprint("o", i) }
	for _, tc := range []struct {
		reply *rpc.DescribeReply
		want  string
		lines int
	}{
		{objects(0, other), "", 0},
		{objects(maxObjects-1, other), "", 1},
		{objects(maxObjects, other), "it has 1001 objects; the limit is 1000", 0},
		{objects(500_000, func(int) string { return "" }), "it has 500001 objects; the limit is 1000", 0},
		{objects(2, func(int) string { return "" }), "it has two objects acme.tool", 0},
	} {
		var log bytes.Buffer
		pr := &process{p: &Plugin{cfg: Config{
			ID:      "acme.tool",
			Objects: []object.ID{"acme.tool"},
			Log:     slog.New(slog.NewTextHandler(&log, nil)),
		}}}
		err := pr.describe(tc.reply)
		var why *binary.StartError
		if (err == nil) != (tc.want == "") ||
			err != nil && (!errors.As(err, &why) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%d objects: %v, want %q", len(tc.reply.Objects), err, tc.want)
		}
		if n := strings.Count(log.String(), "\n"); n != tc.lines {
			t.Errorf("%d objects: %d lines in the log, want %d", len(tc.reply.Objects), n, tc.lines)
		}
	}
}

// TestHostileSignatures: a signature without meaning is a warning. The members remain.
func TestHostileSignatures(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	nested := strings.Repeat("[", 100_000)
	many := `{"params": [` + strings.Repeat(`{"name": "a", "type": "any"},`, 300) + `{"name": "b"}]}`
	for _, tc := range []struct {
		method bool
		doc    string
		types  string
		want   string // text of the signature
		warns  string
	}{
		{true, `{"params": [{"name": "k", "type": "integer"}], "annotated": true}`, "", "(k: integer)", ""},
		{true, `{"params": [{"name": "k"}]}`, "", "(k)", ""},
		{false, `"string?"`, "", "string?", ""},
		{true, `{"params": [{"name": "k", "type": "C"}], "annotated": true}`, `{"C": {"fields": [{"name": "a"}]}}`,
			"(k: C)", ""},
		{true, `{"params": [{"name": "k", "type": "C"}], "annotated": true}`, `{"C": {"type": "C|C[]"}}`, "(k: C)", ""},
		{true, "", "", "", ""},
		{true, "\x00\xff", "", "", "a signature that cannot be used"},
		{true, "{", "", "", "a signature that cannot be used"},
		{true, nested, "", "", "at most 32768 are allowed"},
		{true, nested[:10_000], "", "", "a signature that cannot be used"},
		{true, `{"params": 5}`, "", "", "a signature that cannot be used"},
		{true, `{"params": [{"name": "k", "type": "integer["}]}`, "", "", "a signature that cannot be used"},
		{true, `{"params": [{"name": "k", "type": "` + strings.Repeat("(", 40) + `"}]}`, "", "", "nested too deeply"},
		{true, `{"params": [{"name": "k", "type": "any"}, {"name": "k", "type": "any"}]}`, "", "", "two parameters k"},
		{true, `{"params": [{"name": "", "type": "any"}]}`, "", "", "a name is empty"},
		{true, `{"params": [{"name": "` + long + `"}]}`, "", "", "a name has more than 255 bytes"},
		{true, `{"params": [{"name": "a\u001b[2J"}]}`, "", "", "control character"},
		{true, `{"params": [{"name": "a", "type": "{[\"\\n\"]: any}"}]}`, "", "", "control character"},
		{true, many, "", "", "more than 250 parameters"},
		{false, `{"params": []}`, "", "", "a signature that cannot be used"},
		{true, `{}`, `{"any": {}}`, "()", "is not a name of a type"},
		{true, `{}`, `{"C": null}`, "()", "has no definition"},
		{true, `{}`, `[]`, "()", "the named types cannot be used"},
		{true, `{}`, strings.Repeat(" ", 300_000), "()", "at most 262144 are allowed"},
		{true, `{}`, `{"C": {"fields": [{"name": "\u0007"}]}}`, "()", "control character"},
	} {
		o := &rpc.Object{Instance: string(object.PerCall), Types: []byte(tc.types), Members: []*rpc.Member{
			{Name: "m", Method: tc.method, Get: !tc.method, Signature: []byte(tc.doc)},
		}}
		d := &object.Description{ID: "acme.tool", Members: []object.Member{{Name: "m", Method: tc.method}}}
		sign(d, o)
		warned := strings.Join(d.Warnings, "\n")
		m := d.Members[0]
		if m.Signature != tc.want || (m.Function == nil) != (!tc.method || tc.want == "") ||
			!strings.Contains(warned, tc.warns) || (warned == "") != (tc.warns == "") {
			t.Errorf("%.60q, %.60q: signature %q, warnings %.200q", tc.doc, tc.types, m.Signature, warned)
		}
	}
	// Many large signatures are dropped together.
	o := &rpc.Object{}
	d := &object.Description{}
	wide := `{"params": [{"name": "k", "type": "` + strings.Repeat("integer[]|", 900) + `string"}]}`
	for i := range 100 {
		name := fmt.Sprint("m", i)
		o.Members = append(o.Members, &rpc.Member{Name: name, Method: true, Signature: []byte(wide)})
		d.Members = append(d.Members, object.Member{Name: object.Method(name), Method: true})
	}
	sign(d, o)
	if d.SignatureSize() != 0 || d.Members[50].Signature != "" || len(d.Members) != 100 || len(d.Warnings) != 1 {
		t.Errorf("%d types remain, %v", d.SignatureSize(), d.Warnings)
	}
}
