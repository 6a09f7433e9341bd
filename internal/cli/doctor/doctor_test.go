package doctor

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
)

func TestDiagnose(t *testing.T) {
	t.Parallel()
	spec := confine.Spec{AllowMissing: []string{"seccomp"}}
	for _, tt := range []struct {
		layer layer.Layer
		want  string
	}{
		{layer.Layer{Name: "uid", Required: true, Holds: true, Reason: "r", Remedy: "m"}, "holds"},
		{layer.Layer{Name: "uid", Required: true}, "missing"},
		{layer.Layer{Name: "seccomp", Required: true}, "allowed"},
		{layer.Layer{Name: "uid"}, "unasked"},
		{layer.Layer{Name: layer.Cgroup, Required: true}, "unasked"}, // a probe always tries it
	} {
		f := diagnose(Finding{}, spec, tt.layer)
		if f.Status != tt.want || f.Status == "holds" && f.Reason+f.Remedy != "" {
			t.Errorf("diagnose(%+v) = %+v, want status %s", tt.layer, f, tt.want)
		}
	}
}

// TestPrint: a missing layer and a fault of a file are failures, a note is not.
func TestPrint(t *testing.T) {
	t.Parallel()
	note := OfFile(fault.Refusal{Path: "scripts/x", Err: "no tenant", Note: true})
	fault := OfFile(fault.Refusal{ID: "acme.bad", Path: "acme/bad.lua", Err: "line 1"})
	missing := Finding{Tenant: "acme", Layer: "uid", Status: "missing", Reason: "not root", Remedy: "run as root"}
	for _, tt := range []struct {
		findings []Finding
		want     string
		failed   bool
	}{
		{[]Finding{note}, "(host)  files  note  scripts/x: no tenant\n", false},
		{[]Finding{fault}, "acme  files  wrong  acme/bad.lua: line 1\n1 fault of files", true},
		{[]Finding{missing}, "acme  uid  missing  not root; run as root\n1 layer missing", true},
	} {
		var out bytes.Buffer
		err := Print(&out, tt.findings, false)
		if !strings.HasPrefix(out.String(), tt.want) || errors.Is(err, cli.ExitFailed) != tt.failed {
			t.Errorf("Print(%+v) = %v, printed\n%s", tt.findings, err, &out)
		}
	}
}
