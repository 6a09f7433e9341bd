package rpc_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hearthhost/hearth/plugins/rpc"
)

// declared returns the messages, enums and services of plugin.proto as lines "<block>: <statement>", without comments.
func declared(t *testing.T) []string {
	t.Helper()
	src, err := os.ReadFile("plugin.proto")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`//.*`).ReplaceAllString(string(src), "")
	var all []string
	text = regexp.MustCompile(`(?s)\boneof \w+ \{(.*?)\}`).ReplaceAllString(text, "$1")
	text = strings.ReplaceAll(text, "optional ", "")
	blocks := regexp.MustCompile(`(?s)\b(?:message|enum|service) (\w+) \{(.*?)\}`)
	for _, block := range blocks.FindAllStringSubmatch(text, -1) {
		all = append(all, block[1])
		for line := range strings.SplitSeq(block[2], ";") {
			if line = strings.Join(strings.Fields(line), " "); line != "" {
				all = append(all, block[1]+": "+line)
			}
		}
	}
	slices.Sort(all)
	return all
}

// generated returns the same of the generated code.
func generated() []string {
	var all []string
	file := rpc.File_plugin_proto
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		all = append(all, string(m.Name()))
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			kind := f.Kind().String()
			switch {
			case f.Message() != nil:
				kind = string(f.Message().Name())
			case f.Enum() != nil:
				kind = string(f.Enum().Name())
			}
			if f.Cardinality() == protoreflect.Repeated {
				kind = "repeated " + kind
			}
			all = append(all, fmt.Sprintf("%s: %s %s = %d", m.Name(), kind, f.Name(), f.Number()))
		}
	}
	for i := range file.Enums().Len() {
		e := file.Enums().Get(i)
		all = append(all, string(e.Name()))
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			all = append(all, fmt.Sprintf("%s: %s = %d", e.Name(), v.Name(), v.Number()))
		}
	}
	for i := range file.Services().Len() {
		s := file.Services().Get(i)
		all = append(all, string(s.Name()))
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			all = append(all, fmt.Sprintf("%s: rpc %s(%s) returns (%s)", s.Name(), m.Name(), m.Input().Name(),
				m.Output().Name()))
		}
	}
	slices.Sort(all)
	return all
}

// TestGenerated compares plugin.proto with the generated code. After a change of the file run go generate.
func TestGenerated(t *testing.T) {
	want, got := declared(t), generated()
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("the generated code lacks %q", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("plugin.proto lacks %q", line)
		}
	}
	if len(want) < 50 {
		t.Errorf("only %d declarations in plugin.proto", len(want))
	}
}
