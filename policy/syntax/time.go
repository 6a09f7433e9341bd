package syntax

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration returns an attribute that is a duration from least to most. hint is that of the error.
func (r *Reader) Duration(
	a Attributes, name string, least, most time.Duration, hint string,
) (d time.Duration, ok bool) {
	s, at, ok := r.Text(a, name)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		r.Problems.Add(at, hint, "%s: %q: must be a duration from %s to %s", name, s, least, most)
		return 0, false
	}
	return d, true
}

// Rate is a bound on events, with a burst of one second.
type Rate struct {
	Text     string        // "100/s"; "": no bound
	Interval time.Duration // between two events
	Burst    int           // events at once, at least 1
}

// Rate returns the attributes rate and burst. example is a valid rate, for a message.
func (r *Reader) Rate(a Attributes, example string) Rate {
	out := Rate{Burst: 1}
	if s, at, ok := r.Text(a, "rate"); ok {
		count, unit, found := strings.Cut(s, "/")
		per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
		n, err := strconv.Atoi(count)
		if !found || per == 0 || err != nil || n < 1 || n > MaxCount {
			hint := fmt.Sprintf(`write %q, "30/m" or "5/h", from 1 to %d`, example, MaxCount)
			r.Problems.Add(at, hint, "rate: %q is not a rate", s)
		} else {
			out.Text, out.Interval = s, per/time.Duration(n)
			out.Burst = max(1, int(time.Second/out.Interval))
		}
	}
	if n, ok := r.Count(a, "burst"); ok {
		if a["rate"] == nil {
			r.Problems.Add(a["burst"].NameRange, "", "burst needs a rate")
		}
		out.Burst = n
	}
	return out
}
