package codec_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
)

// compactBytes matches the dict of bytes without blanks. The encoder writes blanks.
var compactBytes = regexp.MustCompile(`\{'data':'([^']*)','encoding':'base64'\}`)

func TestTextConversations(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		"pyro4-serpent.jsonl",
		"pyro5-serpent.jsonl",
		"pyro4-json.jsonl",
		"pyro5-json.jsonl",
		"pyro4-python2.jsonl",
	} {
		n := 0
		for _, m := range conversation(t, file) {
			id := m.serializer.ID()
			if id != codec.Serpent && id != codec.JSON {
				continue
			}
			n++
			name := file + " " + m.name
			want, err := reprOf(m.serializer, m.payload, codec.Limits{})
			if err != nil {
				t.Errorf("%s: Decode(%s) = %v", name, m.payload, err)
				continue
			}
			again, err := translate(m.serializer, m.payload, m.serializer)
			if err != nil {
				t.Errorf("%s: encoding again = %v", name, err)
				continue
			}
			written := compactBytes.ReplaceAll(m.payload, []byte("{'data': '$1', 'encoding': 'base64'}"))
			if !bytes.Equal(again, written) && file != "pyro4-python2.jsonl" {
				t.Errorf("%s: encoded again\n%s, want\n%s", name, again, written)
			}
			if got, err := reprOf(m.serializer, again, codec.Limits{}); err != nil || got != want {
				t.Errorf("%s: decoded again = %s, %v, want %s", name, got, err, want)
			}
			switch {
			case m.typ == 1:
				checkConnect(t, name, m, want)
			case m.typ == 4 && id == codec.Serpent:
				checkInvoke(t, name, m, want)
			case m.typ == 4:
				checkJSONInvoke(t, name, m)
			}
		}
		if n == 0 {
			t.Errorf("%s: nothing tested", file)
		}
	}
}

// checkJSONInvoke compares scan and arguments with the whole call.
func checkJSONInvoke(t *testing.T, name string, m conversationMessage) {
	t.Helper()
	v, err := codec.Unmarshal(m.serializer, m.payload, codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	call := v.(map[string]any)
	var h pyro.Head
	if err := pyro.ScanCall(m.serializer, m.payload, m.batch, &h); err != nil {
		t.Errorf("%s: ScanCall = %v", name, err)
		return
	}
	if string(h.Object) != call["object"] || string(h.Method) != call["method"] {
		t.Errorf("%s: ScanCall = %s, %s in %s", name, h.Object, h.Method, m.payload)
	}
	params, kwargs, err := pyro.UnmarshalCall(m.serializer, m.payload, codec.Limits{})
	if err != nil {
		t.Errorf("%s: UnmarshalCall = %v", name, err)
		return
	}
	if m.batch && len(h.Batch) != len(params) {
		t.Errorf("%s: ScanCall found the batch %s in %s", name, h.Batch, m.payload)
	}
	if len(params) > 0 && !m.batch {
		if first, ok := params[0].(string); ok && first != string(h.First) || !ok && h.First != nil {
			t.Errorf("%s: ScanCall's First = %s in %s", name, h.First, m.payload)
		}
	}
	wantKw, _ := call["kwargs"].(map[string]any)
	if diff := cmp.Diff([]any{call["params"], wantKw}, []any{params, kwargs}, sameNumbers); diff != "" {
		t.Errorf("%s: UnmarshalCall differs (-want +got):\n%s", name, diff)
	}
}

func TestTextScanCall(t *testing.T) {
	t.Parallel()
	big := `[` + strings.Repeat(`{"x": ["}]"]}, `, 10000) + `1]`
	for _, tt := range []struct {
		serializer, doc       string
		batch                 bool
		object, method, first string
		calls                 string
	}{
		{"serpent", "('o','m',('f',),{})", false, "o", "m", "f", ""},
		{"serpent", " [ 'o' , \"m\" ,[ 1 ], None ]", false, "o", "m", "", ""},
		{"serpent", `('\x6f','\u006d',('f\n'), rubbish`, false, "o", "m", "f\n", ""},
		{
			"serpent", "('o','<batch>',[('a',(),{}),('b',(1,{2:(3,)}),{'x':1}),['c',[],{}]],None)", true,
			"o", "<batch>", "", "a b c",
		},
		{"serpent", "('o','m',[],None)", true, "o", "m", "", ""},
		{"json", `{"object":"o","method":"m","params":["f"],"kwargs":{}}`, false, "o", "m", "f", ""},
		{"json", `{"object":"o","params":` + big + `,"x":[],"method":"m","kwargs":{}}`, false, "o", "m", "", ""},
		{
			"json", `{"kwargs":{"object":"no"},"params":["\u0066"],"method":"\u006d","object":"o"}`, false,
			"o", "m", "f", "",
		},
		{
			"json", `{"object":"o","params":[["a",[],{}],["b",[1],{"x":1}]],"method":"m","kwargs":null}`, true,
			"o", "m", "", "a b",
		},
	} {
		var h pyro.Head
		h.First, h.Batch = []byte("old"), [][]byte{[]byte("old")}
		err := pyro.ScanCall(codec.ByName(tt.serializer), []byte(tt.doc), tt.batch, &h)
		calls := string(bytes.Join(h.Batch, []byte(" ")))
		head := string(h.Object) == tt.object && string(h.Method) == tt.method && string(h.First) == tt.first
		if err != nil || !head || calls != tt.calls {
			t.Errorf("ScanCall(%.60s) = %q, %v", tt.doc, h, err)
		}
	}
}

func TestTextCallErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		serializer, doc string
		batch           bool
		class, msg      string
	}{
		{"serpent", "('o','m')", false, "ValueError", "not enough values to unpack (expected 4, got 2)"},
		{"serpent", "('o','m',())", false, "ValueError", "not enough values to unpack (expected 4, got 3)"},
		{"serpent", "('o','m',(),{},1)", false, "ValueError", "too many values to unpack (expected 4)"},
		{"serpent", "()", false, "ValueError", "not enough values to unpack (expected 4, got 0)"},
		{"serpent", "('o','m',('a'),{})", false, "SyntaxError", ""},
		{"serpent", "('o','m',1,{})", false, "TypeError", ""},
		{"serpent", "('o','m',(),{1})", false, "TypeError", ""},
		{"serpent", "('o','m',(),{(1,)})", false, "TypeError", ""},
		{"serpent", "('o','m',(),1)", false, "TypeError", ""},
		{"serpent", "{}", false, "TypeError", ""},
		{"serpent", "", false, "SyntaxError", ""},
		{"serpent", "(1,'m',(),{})x", false, "", ""},
		{
			"serpent", "('o','m',[('a',())],None)", true,
			"ValueError", "not enough values to unpack (expected 3, got 2)",
		},
		{"serpent", "('o','m',[('a',(),{},1)],None)", true, "ValueError", "too many values to unpack (expected 3)"},
		{"serpent", "('o','m',[1],None)", true, "TypeError", ""},
		{"serpent", "('o','m',['abc'],None)", true, "TypeError", ""},
		{"json", `{"object":"o","method":"m","params":[]}`, false, "KeyError", "'kwargs'"},
		{"json", `{"object":"o","method":"m","kwargs":{}}`, false, "KeyError", "'params'"},
		{"json", `{"object":"o","method":"m","params":[],"params":[],"kwargs":{}}`, false, "ValueError", ""},
		{"json", `{"object":"o","method":"m","params":{},"kwargs":{}}`, false, "TypeError", ""},
		{"json", `{"object":"o","method":"m","params":[],"kwargs":[]}`, false, "TypeError", ""},
		{"json", `["o","m",[],{}]`, false, "TypeError", ""},
		{"json", ``, false, "ValueError", ""},
		{
			"json", `{"object":"o","method":"m","params":[["a",[]]],"kwargs":null}`, true,
			"ValueError", "not enough values to unpack (expected 3, got 2)",
		},
		{
			"json", `{"object":"o","method":"m","params":[["a",[],{},1]],"kwargs":null}`, true,
			"ValueError", "too many values to unpack (expected 3)",
		},
		{"json", `{"object":"o","method":"m","params":["a"],"kwargs":null}`, true, "TypeError", ""},
	} {
		s := codec.ByName(tt.serializer)
		var h pyro.Head
		err := pyro.ScanCall(s, []byte(tt.doc), tt.batch, &h)
		if err == nil {
			err = pyro.DecodeCall(s, []byte(tt.doc), codec.Limits{}, pyNone{})
		}
		e, ok := err.(*object.Error)
		if !ok || tt.class != "" && pyro.ErrorClass(e) != tt.class || tt.msg != "" && e.Msg != tt.msg {
			t.Errorf("%s: error %#v, want class %q %q", tt.doc, err, tt.class, tt.msg)
		}
	}
}

// TestTextKeywordsStayDicts: keyword arguments in the form of bytes or nan remain keyword arguments.
func TestTextKeywordsStayDicts(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"serpent": "('o','m',(),{'data':'YWJj','encoding':'base64'})",
		"json":    `{"kwargs":{"data":"YWJj","encoding":"base64"},"object":"o","method":"m","params":[]}`,
	} {
		_, kwargs, err := pyro.UnmarshalCall(codec.ByName(name), []byte(doc), codec.Limits{})
		if diff := cmp.Diff(map[string]any{"data": "YWJj", "encoding": "base64"}, kwargs); err != nil || diff != "" {
			t.Errorf("UnmarshalCall(%s): %v\n%s", doc, err, diff)
		}
	}
}

func TestTextScanConnect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ serializer, doc, want, msg string }{
		{"serpent", "{'handshake':'hello','object':'a.b'}", "a.b", ""},
		{"serpent", "{'object':None,'handshake':{'x':(1,)},2:3}", "", ""},
		{"serpent", "{'handshake':{'data':'','encoding':'base64'}}", "", ""},
		{"serpent", "{'object':'a.b'}", "", "'handshake'"},
		{"serpent", "{}", "", "'handshake'"},
		{"json", `{"handshake": "hello", "object": "a.b"}`, "a.b", ""},
		{"json", `{"object": null, "handshake": [1]}`, "", ""},
		{"json", `{"object": "a.b"}`, "", "'handshake'"},
	} {
		got, _, err := pyro.ScanConnect(codec.ByName(tt.serializer), []byte(tt.doc))
		if got != tt.want || (err == nil) != (tt.msg == "") || err != nil && err.(*object.Error).Msg != tt.msg {
			t.Errorf("ScanConnect(%s) = %q, %v", tt.doc, got, err)
		}
	}
	for name, docs := range map[string][]string{
		"serpent": {"1", "{1}", "{'handshake':1,'object':1}", "{'handshake':1} x", ""},
		"json":    {"1", "[]", `{"handshake":1,"object":1}`, `{"handshake":1} x`, ""},
	} {
		for _, doc := range docs {
			got, _, err := pyro.ScanConnect(codec.ByName(name), []byte(doc))
			if object.CodeOf(err) != object.CodeInvalid {
				t.Errorf("ScanConnect(%s) = %q, %v", doc, got, err)
			}
		}
	}
}

func TestTextScanCallAllocates(t *testing.T) {
	s, j := codec.ByName("serpent"), codec.ByName("json")
	call := []byte("# serpent utf-8 python3.2\n('example.service','add',('x',(1,2),{'k':[b'x',2.5]}),{})")
	batch := []byte("('o','<batch>',[('a',(1,'é'),{}),('b',(),{'x':2})],None)")
	jcall := []byte(`{"object": "o", "params": ["f", [1, {"k": 2.5}]], "method": "m", "kwargs": {}}`)
	var h pyro.Head
	for name, scan := range map[string]func() error{
		"serpent":       func() error { return pyro.ScanCall(s, call, false, &h) },
		"serpent batch": func() error { return pyro.ScanCall(s, batch, true, &h) },
		"json":          func() error { return pyro.ScanCall(j, jcall, false, &h) },
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := scan(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: ScanCall allocates %v times", name, n)
		}
	}
}
