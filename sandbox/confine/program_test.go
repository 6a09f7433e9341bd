package confine_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/sandbox/confine"
)

// TestProgramValidate checks valid and invalid programs.
func TestProgramValidate(t *testing.T) {
	for _, tc := range []struct {
		want string // "" if valid
		p    confine.Program
	}{
		{"", confine.Program{}},
		{"", confine.Program{Runtime: []string{"/usr", "/lib", "/lib64"}, Files: []string{"/srv/data", "/srv/data2"},
			TmpBytes: 1 << 20}},
		{"", confine.Program{Files: []string{"/tmp/x"}}},
		{"not a clean absolute path", confine.Program{Runtime: []string{"usr"}}},
		{"not a clean absolute path", confine.Program{Runtime: []string{"/usr/"}}},
		{"not a clean absolute path", confine.Program{Files: []string{"/usr/../etc"}}},
		{"not a clean absolute path", confine.Program{Files: []string{""}}},
		{"everything", confine.Program{Runtime: []string{"/"}}},
		{"/proc cannot be shown", confine.Program{Files: []string{"/proc"}}},
		{"/proc/1/root cannot be shown", confine.Program{Files: []string{"/proc/1/root"}}},
		{"/dev/mem cannot be shown", confine.Program{Files: []string{"/dev/mem"}}},
		{"/sys/fs cannot be shown", confine.Program{Files: []string{"/sys/fs"}}},
		{"/tmp cannot be shown", confine.Program{Files: []string{"/tmp"}}},
		{"/sockets/x cannot be shown", confine.Program{Files: []string{"/sockets/x"}}},
		{"/usr/lib is inside /usr", confine.Program{Runtime: []string{"/usr/lib", "/usr"}}},
		{"/usr/share is inside /usr", confine.Program{Runtime: []string{"/usr"}, Files: []string{"/usr/share"}}},
		{"/usr is inside /usr", confine.Program{Runtime: []string{"/usr"}, Files: []string{"/usr"}}},
		{"not a size of /tmp", confine.Program{TmpBytes: -1}},
		{"not a size of /tmp", confine.Program{TmpBytes: 1 << 50}},
		{"unknown layer", confine.Program{Spec: confine.Spec{AllowMissing: []string{"moat"}}}},
	} {
		err := tc.p.Validate()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%+v: %v, want %q", tc.p, err, tc.want)
		}
	}
}
