package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unitSettings returns the values of each setting of the packaged unit.
func unitSettings(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../packaging/hearth.service")
	check(t, err)
	out := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			out[name] = append(out[name], value)
		}
	}
	return out
}

// TestUnitWritesWhereDocumentsSay: under the packaged unit the host can write to each folder that the documents and the
// packaged policy name for files that it writes. The package makes them, and the unit starts the host without a check
// that a tenant's script could fail.
func TestUnitWritesWhereDocumentsSay(t *testing.T) {
	unit := unitSettings(t)
	if !slices.Equal(unit["ProtectSystem"], []string{"strict"}) || len(unit["ReadWritePaths"]) != 1 {
		t.Fatalf("ProtectSystem=%v, ReadWritePaths=%v", unit["ProtectSystem"], unit["ReadWritePaths"])
	}
	if pre := unit["ExecStartPre"]; len(pre) > 0 {
		t.Errorf("ExecStartPre=%v", pre)
	}
	writable := strings.Fields(unit["ReadWritePaths"][0])
	made := map[string]bool{} // by systemd
	for setting, above := range map[string]string{"StateDirectory": "/var/lib", "LogsDirectory": "/var/log",
		"ConfigurationDirectory": "/etc"} {
		for _, names := range unit[setting] {
			for _, name := range strings.Fields(names) {
				made[filepath.Join(above, name)] = true
			}
		}
	}
	post, err := os.ReadFile("../../packaging/postinstall.sh")
	check(t, err)
	for _, dir := range writable {
		if !made[dir] {
			t.Errorf("ReadWritePaths has %s, which no *Directory= makes: the unit would not start without it", dir)
		}
		if !strings.Contains(string(post), dir) {
			t.Errorf("postinstall.sh does not make %s", dir)
		}
	}

	docs, err := filepath.Glob("../../doc/*.md")
	check(t, err)
	docs = append(docs, "../../README.md", "../../packaging/policy.hcl")
	// Files that a running host writes: the audit log, keys and certificates of enrolment, its state.
	written := regexp.MustCompile(`(?:\bfile|\bkeys|\bca|\bstate)\s*=\s*\[?"(/[^"]+)"`)
	found := map[string]bool{}
	for _, doc := range docs {
		text, err := os.ReadFile(doc)
		check(t, err)
		for _, m := range written.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = true
			if !slices.ContainsFunc(writable,
				func(dir string) bool { return m[1] == dir || strings.HasPrefix(m[1], dir+"/") }) {
				t.Errorf("%s: the packaged host cannot write to %s", filepath.Base(doc), m[1])
			}
		}
	}
	for _, path := range []string{"/var/log/hearth/audit.jsonl", "/etc/hearth/keys/alice.key", "/etc/hearth/ca",
		"/var/lib/hearth/state"} {
		if !found[path] {
			t.Errorf("no document names %s", path)
		}
	}
	text, err := os.ReadFile("../../doc/operations.md")
	check(t, err)
	for _, dir := range writable {
		if !strings.Contains(string(text), "| `"+dir+"` |") {
			t.Errorf("doc/operations.md does not list %s", dir)
		}
	}
}
