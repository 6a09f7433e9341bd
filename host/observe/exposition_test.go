package observe

import (
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/host/usage"
)

// TestExposition writes one family of each kind. Label values are escaped; buckets are cumulative.
func TestExposition(t *testing.T) {
	var e exposition
	e.family("calls_total", counter, "Calls.")
	e.count(3, "tenant", "a\"b\\c\nd", "code", "ok")
	e.family("load", gauge, "Load.")
	e.value(0.5)
	const want = "# HELP calls_total Calls.\n# TYPE calls_total counter\n" +
		`calls_total{tenant="a\"b\\c\nd",code="ok"} 3` + "\n" +
		"# HELP load Load.\n# TYPE load gauge\nload 0.5\n"
	if got := string(e.b); got != want {
		t.Errorf("exposition:\n%s\nwant\n%s", got, want)
	}

	e = exposition{name: "seconds"}
	totals := usage.Totals{Nanos: uint64(1500 * time.Millisecond)}
	totals.Times[0], totals.Times[len(totals.Times)-1] = 2, 1
	e.times(&totals, "tenant", "a")
	samples := parse(t, string(e.b))
	for key, want := range map[string]string{
		`seconds_bucket{tenant="a",le="+Inf"}`: "3",
		`seconds_sum{tenant="a"}`:              "1.5",
		`seconds_count{tenant="a"}`:            "3",
	} {
		if samples[key] != want {
			t.Errorf("%s = %q, want %q in\n%s", key, samples[key], want, e.b)
		}
	}
}

// parse returns the samples of a text without comments by name and labels.
func parse(t *testing.T, text string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || out[key] != "" {
			t.Errorf("line %q", line)
		}
		out[key] = value
	}
	return out
}
