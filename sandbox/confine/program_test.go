package confine_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/sandbox/confine"
)

// TestProgramValidate holds what a program may be shown against what it may not.
func TestProgramValidate(t *testing.T) {
	for _, tc := range []struct {
		want string // "": nothing is wrong
		p    confine.Program
	}{
		{"", confine.Program{}},
		{"", confine.Program{Runtime: []string{"/usr", "/lib", "/lib64"}, Files: []string{"/srv/data", "/srv/data2"}, TmpBytes: 1 << 20}},
		{"", confine.Program{Files: []string{"/tmp/x"}}},
		{"no absolute path", confine.Program{Runtime: []string{"usr"}}},
		{"no absolute path", confine.Program{Runtime: []string{"/usr/"}}},
		{"no absolute path", confine.Program{Files: []string{"/usr/../etc"}}},
		{"no absolute path", confine.Program{Files: []string{""}}},
		{"everything", confine.Program{Runtime: []string{"/"}}},
		{"/proc is nothing", confine.Program{Files: []string{"/proc"}}},
		{"/proc/1/root is nothing", confine.Program{Files: []string{"/proc/1/root"}}},
		{"/dev/mem is nothing", confine.Program{Files: []string{"/dev/mem"}}},
		{"/sys/fs is nothing", confine.Program{Files: []string{"/sys/fs"}}},
		{"/tmp is nothing", confine.Program{Files: []string{"/tmp"}}},
		{"/sockets/x is nothing", confine.Program{Files: []string{"/sockets/x"}}},
		{"/usr/lib lies in /usr", confine.Program{Runtime: []string{"/usr/lib", "/usr"}}},
		{"/usr/share lies in /usr", confine.Program{Runtime: []string{"/usr"}, Files: []string{"/usr/share"}}},
		{"/usr lies in /usr", confine.Program{Runtime: []string{"/usr"}, Files: []string{"/usr"}}},
		{"no size of a /tmp", confine.Program{TmpBytes: -1}},
		{"no size of a /tmp", confine.Program{TmpBytes: 1 << 50}},
		{"no layer is called", confine.Program{Spec: confine.Spec{AllowMissing: []string{"moat"}}}},
	} {
		err := tc.p.Validate()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%+v: %v, want %q", tc.p, err, tc.want)
		}
	}
}
