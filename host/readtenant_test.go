package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUnreadableFile checks that the served version of an unreadable file stays served, and that a refusal reports the
// file. The object of a removed file is removed.
func TestUnreadableFile(t *testing.T) {
	replaceByLink := func(target, path string) error {
		return errors.Join(os.Remove(path), os.Symlink(target, path))
	}
	const denied = "permission denied"
	for _, tc := range []struct {
		name  string
		spoil func(path string) error
		want  string
	}{
		{"a pipe", func(path string) error {
			return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600))
		}, "not a regular file"},
		{"a link out of the folder", func(path string) error {
			return replaceByLink("/etc/hostname", path)
		}, "escapes"},
		{"a link to itself", func(path string) error {
			return replaceByLink(filepath.Base(path), path)
		}, "too many levels"},
		{"too large", func(path string) error { return os.Truncate(path, 2<<20) }, "larger than"},
		{"unreadable file", func(path string) error { return os.Chmod(path, 0) }, denied},
		{"unreadable folder", func(path string) error { return os.Chmod(filepath.Dir(path), 0) }, denied},
		{"unreadable folder of the tenant", func(path string) error {
			return os.Chmod(filepath.Dir(filepath.Dir(path)), 0)
		}, denied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.want == denied && os.Geteuid() == 0 {
				t.Skip("root may read everything")
			}
			l := liveHost(t, everything)
			l.put("scripts/acme/deep/v.lua", version(1))
			l.put("scripts/acme/w.lua", version(1))
			l.reload()
			l.want("acme.deep.v", "version", int64(1))
			path := filepath.Join(l.dir, "scripts/acme/deep/v.lua")
			t.Cleanup(func() {
				for p := path; p != l.dir; p = filepath.Dir(p) {
					_ = os.Chmod(p, 0o700)
				}
			})
			if err := tc.spoil(path); err != nil {
				t.Fatal(err)
			}
			for range 3 { // longer than the grace period of removed files
				l.reload()
			}
			l.want("acme.deep.v", "version", int64(1))
			l.want("acme.w", "version", int64(1))
			found := false
			for _, r := range l.h.Refusals() {
				found = found || strings.Contains(r.Err, tc.want)
			}
			if !found {
				t.Errorf("refusals %v; want one with %q", l.h.Refusals(), tc.want)
			}
			if tc.want == denied {
				return
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			l.reload()
			l.unknown("acme.deep.v", "version")
		})
	}
}
