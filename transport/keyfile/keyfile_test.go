package keyfile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/transport/keyfile"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

const secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

func line(id string) string { return "hearth-key-1 " + id + " " + secret + " 2026-01-31T12:00:00Z\n" }

func TestWhatIsWrittenIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "alice.key")
	one, err := keyfile.New("alice-1", now)
	if err != nil {
		t.Fatal(err)
	}
	two, err := keyfile.New("alice-2", now.Add(time.Hour))
	if err != nil || one.Secret == two.Secret {
		t.Fatal(err, one.Secret == two.Secret)
	}
	if err := keyfile.Create(path, one); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Create(path, two); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating it again: %v", err)
	}
	if err := keyfile.Update(path, func(keys []keyfile.Key) ([]keyfile.Key, error) {
		return append([]keyfile.Key{two}, keys...), nil
	}); err != nil {
		t.Fatal(err)
	}
	got, err := keyfile.Read(path)
	if err != nil || len(got) != 2 || got[0] != two || got[1] != one {
		t.Errorf("read %d keys, %v", len(got), err)
	}
	failed := errors.New("no")
	if err := keyfile.Update(path, func([]keyfile.Key) ([]keyfile.Key, error) { return nil, failed }); !errors.Is(err,
		failed) {
		t.Errorf("Update() = %v", err)
	}
	if again, _ := keyfile.Read(path); len(again) != 2 {
		t.Error("a failed update changed the file")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode: %v, %v", info.Mode(), err)
	}
	if text, _ := os.ReadFile(path); !strings.HasPrefix(string(text), "# ") {
		t.Error("an update lost the comment")
	}
}

// TestUpdatesDoNotLoseEachOther has many change one file at once.
func TestUpdatesDoNotLoseEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	if err := keyfile.Create(path); err != nil {
		t.Fatal(err)
	}
	const n = 20
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			k, err := keyfile.New(fmt.Sprint("k", i), now)
			if err == nil {
				err = keyfile.Update(path,
					func(keys []keyfile.Key) ([]keyfile.Key, error) { return append(keys, k), nil })
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if keys, err := keyfile.Read(path); err != nil || len(keys) != n {
		t.Errorf("%d of %d keys are there, %v", len(keys), n, err)
	}
}

func TestParse(t *testing.T) {
	keys, err := keyfile.Parse("k", []byte("# a comment\n\n"+line("alice")+strings.TrimSuffix(line("bob.x_y-2"), "\n")))
	if err != nil || len(keys) != 2 || keys[0].ID != "alice" || keys[1].ID != "bob.x_y-2" || keys[0].Secret[31] != 31 ||
		!keys[0].Created.Equal(now) {
		t.Errorf("%v, %v", keys, err)
	}
	if keys, err := keyfile.Parse("k", nil); len(keys) != 0 || err != nil {
		t.Errorf("an empty file: %v, %v", keys, err)
	}
	for name, text := range map[string]string{
		"another format":  "ssh-ed25519 AAAA x y\n",
		"too few":         "hearth-key-1 alice " + secret + "\n",
		"too many":        strings.TrimSuffix(line("a"), "\n") + " x\n",
		"two spaces":      strings.Replace(line("a"), " a ", "  a ", 1),
		"tab":             strings.Replace(line("a"), " a ", "\ta ", 1),
		"carriage return": strings.Replace(line("a"), "\n", "\r\n", 1),
		"empty id":        line(""),
		"id with a slash": line("a/b"),
		"id that is long": line(strings.Repeat("x", 65)),
		"id of others":    line("аlice"),
		"short secret":    strings.Replace(line("a"), secret, secret[:40], 1),
		"padded":          strings.Replace(line("a"), secret, secret+"=", 1),
		"loose base64":    strings.Replace(line("a"), secret, secret[:42]+"9", 1),
		"no time":         strings.Replace(line("a"), "2026-01-31T12:00:00Z", "today", 1),
		"time elsewhere":  strings.Replace(line("a"), "00Z", "00+01:00", 1),
		"twice":           line("a") + line("a"),
		"blanks":          " \n",
	} {
		keys, err := keyfile.Parse("file", []byte(text))
		if err == nil || keys != nil {
			t.Errorf("%s: %v, no error", name, keys)
			continue
		}
		if !strings.HasPrefix(err.Error(), "file:") || strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("%s: %v, want file and line and nothing of the key", name, err)
		}
	}
	_, err = keyfile.Parse("file", []byte("x\n"+line("a")+"y\n"))
	if diff := cmp.Diff(2, strings.Count(err.Error(), "file:")); diff != "" {
		t.Errorf("two mistakes: %v", err)
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	keys, _ := keyfile.Parse("k", []byte(line("alice")))
	k := keys[0]
	j, err := json.Marshal(map[string]any{"k": k, "p": &k})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "k", k, "p", &k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "k", k, "p", &k)
	out := fmt.Sprintf("%v %+v %#v %s %x %d %q %v", k, k, k, k, k, k, k, &k) + string(j) + log.String()
	for _, leak := range []string{secret[:8], "000102", "0 1 2", "30, 31", "30 31"} {
		if strings.Contains(out, leak) {
			t.Errorf("a key printed itself: %s", out)
		}
	}
	if !strings.Contains(out, "alice") {
		t.Errorf("a key's text has no id: %s", out)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(line("alice")))
	f.Add([]byte("# x\n\n" + line("a") + line("b")))
	f.Add([]byte("hearth-key-1 a b c\n"))
	f.Add([]byte{0xff, '\n'})
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := keyfile.Parse("f", text)
		if err != nil && keys != nil {
			t.Error("keys and an error")
		}
		for _, k := range keys {
			if k.ID == "" || len(k.ID) > 64 {
				t.Errorf("key id %q", k.ID)
			}
		}
	})
}

// TestRevokingThroughALink removes a key from a file that hosts name by another path.
func TestRevokingThroughALink(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "alice.key"), filepath.Join(t.TempDir(), "link.key")
	if err := os.WriteFile(path, []byte(line("leaked")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Update(link, func([]keyfile.Key) ([]keyfile.Key, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if keys, err := keyfile.Read(path); len(keys) != 0 || err != nil {
		t.Errorf("the host still reads %v, %v", keys, err)
	}
}
