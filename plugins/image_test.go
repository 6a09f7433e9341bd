//go:build linux

package plugins

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/codec"
)

// TestImage tries to change what was hashed, between the check and the execution.
func TestImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("#!/bin/true\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	img, err := load(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer img.file.Close()
	if _, err := img.file.WriteAt([]byte("y"), 0); !errors.Is(err, syscall.EPERM) {
		t.Errorf("writing: %v, want EPERM", err)
	}
	if err := img.file.Truncate(0); !errors.Is(err, syscall.EPERM) {
		t.Errorf("truncating: %v, want EPERM", err)
	}
	again, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(img.file.Fd())), os.O_RDWR, 0)
	if err == nil {
		if _, err := again.WriteAt([]byte("y"), 0); !errors.Is(err, syscall.EPERM) {
			t.Errorf("writing through another descriptor: %v, want EPERM", err)
		}
		again.Close()
	}
	if err := os.WriteFile(path, []byte("#!/bin/false\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 11)
	if _, err := img.file.ReadAt(b, 0); err != nil || string(b) != "#!/bin/true" {
		t.Errorf("the copy is %q, %v", b, err)
	}
}

// TestSerializers holds the protocol's names against the codec's.
func TestSerializers(t *testing.T) {
	for id, name := range serializers {
		if name != "" && codec.ByID(codec.ID(id)).Name() != name {
			t.Errorf("serializer %d is not %q", id, name)
		}
	}
}

func FuzzCheckHandshake(f *testing.F) {
	f.Add("1|1|unix|/d/plugin1|grpc|xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
	f.Add("1|1|unix|/d/../e/plugin1|grpc|x")
	f.Fuzz(func(t *testing.T, line string) { _ = checkHandshake(line, "/d") })
}

// TestUnpinnedThatAnybodyWrites: without a pin the file alone says what runs.
func TestUnpinnedThatAnybodyWrites(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins")
	path := filepath.Join(dir, "x")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/true\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	sum, err := Sum(path)
	if err != nil {
		t.Fatal(err)
	}
	for at, mode := range map[string]os.FileMode{path: 0o757, dir: 0o777 | os.ModeSticky} {
		if err := os.Chmod(at, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := load(path, ""); err == nil || !strings.Contains(err.Error(), "chmod o-w "+at) {
			t.Errorf("%s of mode %v: %v, want the command that mends it", at, mode, err)
		}
		img, err := load(path, sum)
		if err != nil {
			t.Errorf("pinned, %s of mode %v: %v", at, mode, err)
			continue
		}
		img.file.Close()
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
