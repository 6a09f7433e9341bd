package redact_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/internal/redact"
)

func TestText(t *testing.T) {
	t.Parallel()
	var s *redact.Set
	s = s.With("smtp", "hunter22\n").With("key", "-----BEGIN-----\nabcdefgh\nxy\n")
	s = s.With("odd", "a\"b\x00cdef").With("long", "hunter22hunter22")
	s = s.With("over", "22lapping").With("bin", "\xff\xfebinary")
	for text, want := range map[string]string{
		"":                                      "",
		"nothing here":                          "nothing here",
		"hunter22":                              "[secret smtp]",
		"<hunter22>":                            "<[secret smtp]>",
		"hunter22hunter22!":                     "[secret long]!",
		"hunter22lapping":                       "[secret smtp]",
		"the line abcdefgh of it, xy":           "the line [secret key] of it, xy",
		`quoted: "a\"b\x00cdef"`:                `quoted: "[secret odd]"`,
		"hunter2":                               "hunter2",
		"valid \uFFFDbinary and \xff\xfebinary": "valid [secret bin] and [secret bin]",
	} {
		if got := s.Text(text); got != want {
			t.Errorf("Text(%q) = %q, want %q", text, got, want)
		}
	}
	var none *redact.Set
	if got := none.Text("hunter22"); got != "hunter22" || !none.Empty() {
		t.Errorf("an empty set changed a text to %q", got)
	}
}

// TestTextMemory: the positions of secrets need no extra memory, and long marks do not make a text much longer.
// Otherwise the owner of a secret could make the host hold many times the bytes of its messages.
func TestTextMemory(t *testing.T) {
	var s *redact.Set
	name := strings.Repeat("n", 64)
	s = s.With(name, "sesame")
	text := strings.Repeat("sesame", 1<<17)
	got := s.Text(text)
	most := len(text) + 64<<10 + 100
	if len(got) > most || !strings.HasPrefix(got, "[secret n") || strings.Contains(got, "sesame") {
		t.Errorf("%d bytes became %d, want at most %d", len(text), len(got), most)
	}
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = s.Text(text)
		}
	}).AllocedBytesPerOp()
	if most := int64(4 * len(text)); allocated > most {
		t.Errorf("%d bytes were allocated for %d, want at most %d", allocated, len(text), most)
	}
}

// TestCut: a secret across the cut leaves no part behind, and the text behind the cut is not read.
func TestCut(t *testing.T) {
	t.Parallel()
	var s *redact.Set
	s = s.With("a", "hunter22").With("long", "hunter22 and the rest of it")
	text := "x hunter22 hunter22 and the rest of it, hunter22" + strings.Repeat("y", 1<<20)
	for most, want := range map[int]string{
		0: "", 1: "x", 2: "x ", 3: "x [secret a]", 9: "x [secret a]", 10: "x [secret a]", 11: "x [secret a] ",
		12: "x [secret a] [secret long]", 20: "x [secret a] [secret long]", 39: "x [secret a] [secret long],",
		50: "x [secret a] [secret long], [secret a]yy",
	} {
		if got := s.Cut(text, most); got != want {
			t.Errorf("Cut(%d) = %q, want %q", most, got, want)
		}
	}
	if got, want := s.Cut(text, 2<<20), s.Text(text); got != want {
		t.Errorf("a text that is not cut differs")
	}
	var none *redact.Set
	if got := none.Cut("hunter22", 3); got != "hun" {
		t.Errorf("without secrets it is %q", got)
	}
}

// FuzzText: for any value and surrounding text, the result does not contain the value, unless the mark and its
// neighbours spell it.
func FuzzText(f *testing.F) {
	f.Add("hunter22", "a ", " b")
	f.Add("line one\nline two", "", "")
	f.Add("aaaaaa", "aaa", "aaa")
	f.Fuzz(func(t *testing.T, value, before, after string) {
		core := redact.Core(value)
		if len(core) < redact.MinBytes {
			return
		}
		var s *redact.Set
		s = s.With("\x01", value)
		got := s.Text(before + value + after)
		unmarked := strings.ReplaceAll(got, "[secret \x01]", "\x02\x03")
		if strings.Contains(unmarked, core) && !strings.Contains(core, "\x02") {
			t.Errorf("Text left %q in %q", core, got)
		}
	})
}
