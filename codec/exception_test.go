package codec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
)

func TestExceptionsTravel(t *testing.T) {
	t.Parallel()
	e := &codec.Exception{Class: "builtins.ValueError", Args: []any{"msg", int64(1)},
		Attributes: map[string]any{"code": int64(7)}, Traceback: []string{"line\n", "other\n"}}
	for _, name := range []string{"serpent", "json", "msgpack"} {
		s := codec.ByName(name)
		doc, err := codec.Append(s, nil, []any{e})
		if err != nil {
			t.Fatal(err)
		}
		got, err := codec.Unmarshal(s, doc, codec.Limits{})
		if diff := cmp.Diff([]any{e}, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	enc := codec.ByName("serpent").NewEncoder(nil)
	e.Traceback = nil
	if err := codec.Write(enc, e); err != nil {
		t.Fatal(err)
	}
	doc, err := enc.Document()
	want := "# serpent utf-8 python3.2\n{'__class__':'builtins.ValueError','__exception__':True," +
		"'args':('msg',1),'attributes':{'code':7,'_pyroTraceback':None}}"
	if err != nil || string(doc) != want {
		t.Errorf("WriteException = %s, %v, want %s", doc, err, want)
	}
}

func TestUnmarshalException(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]any{
		"{'__class__':'Pyro5.errors.NamingError','args':['x']}": &codec.Exception{
			Class: "Pyro5.errors.NamingError",
			Args:  []any{"x"},
		},
		"{'__class__':'A','__exception__':True}": &codec.Exception{
			Class: "A",
		},
		"{'__class__':'A','__exception__':False}": map[string]any{
			"__class__":     "A",
			"__exception__": false,
		},
		"{'__class__':1,'__exception__':True}": map[string]any{
			"__class__":     int64(1),
			"__exception__": true,
		},
		"{'__class__':'A','__exception__':True,'args':1,'attributes':{'_pyroTraceback':1}}": &codec.Exception{
			Class:      "A",
			Attributes: map[string]any{},
		},
	} {
		got, err := codec.Unmarshal(codec.ByName("serpent"), []byte(doc), codec.Limits{})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Unmarshal(%s): %v\n%s", doc, err, diff)
		}
	}
}
