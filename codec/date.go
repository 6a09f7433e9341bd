package codec

import (
	"math"
	"time"
)

// validDate reports whether Python has the date: years 1 to 9999.
func validDate(day int64) bool { return day >= 1 && day <= 3652059 }

func validDateTime(v float64) bool { return v >= -62135596800 && v < 253402300800 }

// appendISODateTime appends the result of Python's datetime.isoformat. ok is false outside years 1 to 9999. Fractions
// are rounded to microseconds.
func appendISODateTime(b []byte, v float64) (_ []byte, ok bool) {
	if !validDateTime(v) {
		return b, false
	}
	t := pointInTime(v)
	if t.Year() > 9999 { // rounded up to year 10000
		return b, false
	}
	if t.Nanosecond() != 0 {
		return t.AppendFormat(b, "2006-01-02T15:04:05.000000"), true
	}
	return t.AppendFormat(b, "2006-01-02T15:04:05"), true
}

// pointInTime returns the time of a valid [object.Sink] DateTime, in UTC, rounded to
// microseconds.
func pointInTime(v float64) time.Time {
	whole := math.Floor(v)
	return time.Unix(int64(whole), int64(math.RoundToEven((v-whole)*1e6))*1000).UTC()
}

// appendISODate appends a day number as 2001-02-03.
func appendISODate(b []byte, day int64) (_ []byte, ok bool) {
	if !validDate(day) {
		return b, false
	}
	return time.Date(1, 1, int(day), 0, 0, 0, 0, time.UTC).AppendFormat(b, "2006-01-02"), true
}
