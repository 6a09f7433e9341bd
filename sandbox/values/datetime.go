package values

import (
	"math"
	"time"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// daysTo1970 is the day number of 1970-01-01.
const daysTo1970 = 719163

// isoDateTime formats seconds since 1970 as Python's isoformat does.
func isoDateTime(v float64) string {
	sec := math.Floor(v)
	micro := int64(math.Round((v - sec) * 1e6))
	t := time.Unix(int64(sec), micro*1000).UTC()
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05")
	}
	return t.Format("2006-01-02T15:04:05.000000")
}

// isoDate formats a day number as Python's isoformat does.
func isoDate(day int64) string {
	return time.Unix((day-daysTo1970)*86400, 0).UTC().Format("2006-01-02")
}

// Python's range of dates, which every peer supports.
const (
	maxDay     = 3652059 // 9999-12-31
	minSeconds = (1 - daysTo1970) * 86400
	maxSeconds = (maxDay+1-daysTo1970)*86400 - 1e-6
)

// dateSteps are the steps of reading or writing a date.
const dateSteps = 40

// dateMethods defines the operators of dates and times.
func (ts *Types) dateMethods() {
	seconds := func(L *lua.Thread, i int) float64 {
		v, ok := Of(L.Get(i)).(DateTime)
		if !ok {
			L.ArgError(i, "datetime expected, got %s", ts.TypeName(L.Get(i)))
		}
		return float64(v)
	}
	day := func(L *lua.Thread, i int) int64 {
		v, ok := Of(L.Get(i)).(Date)
		if !ok {
			L.ArgError(i, "date expected, got %s", ts.TypeName(L.Get(i)))
		}
		return int64(v)
	}
	boolean := func(f func(L *lua.Thread) bool) lua.Native {
		return func(L *lua.Thread) int {
			L.Push(lua.Bool(f(L)))
			return 1
		}
	}
	ts.methods(ts.DateTime, map[string]lua.Native{
		"__eq": boolean(func(L *lua.Thread) bool { return seconds(L, 1) == seconds(L, 2) }),
		"__lt": boolean(func(L *lua.Thread) bool { return seconds(L, 1) < seconds(L, 2) }),
		"__le": boolean(func(L *lua.Thread) bool { return seconds(L, 1) <= seconds(L, 2) }),
		"__tostring": func(L *lua.Thread) int {
			L.Charge(dateSteps)
			return L.PushString(isoDateTime(seconds(L, 1)))
		},
		"seconds": func(L *lua.Thread) int {
			L.Push(lua.Number(seconds(L, 1)))
			return 1
		},
		"date": func(L *lua.Thread) int {
			L.Push(L.NewUserData(Date(int64(math.Floor(seconds(L, 1)/86400))+daysTo1970), ts.Date, 8))
			return 1
		},
	})
	ts.methods(ts.Date, map[string]lua.Native{
		"__eq": boolean(func(L *lua.Thread) bool { return day(L, 1) == day(L, 2) }),
		"__lt": boolean(func(L *lua.Thread) bool { return day(L, 1) < day(L, 2) }),
		"__le": boolean(func(L *lua.Thread) bool { return day(L, 1) <= day(L, 2) }),
		"__tostring": func(L *lua.Thread) int {
			L.Charge(dateSteps)
			return L.PushString(isoDate(day(L, 1)))
		},
		"day": func(L *lua.Thread) int {
			L.Push(lua.Number(float64(day(L, 1))))
			return 1
		},
	})
}

// NewDateTime implements hearth.datetime(seconds) and hearth.datetime("2026-01-31T12:00:00").
func (ts *Types) NewDateTime(L *lua.Thread) int {
	var v float64
	arg := L.CheckAny(1)
	text, _ := arg.AsString()
	switch arg.Kind() {
	case lua.NumberKind:
		v, _ = arg.AsNumber()
	case lua.StringKind:
		L.Charge(dateSteps)
		t, err := time.Parse("2006-01-02T15:04:05", Clip(text, 100))
		if err != nil {
			L.ArgError(1, "expected seconds since 1970 or a text like 2026-01-31T12:00:00")
		}
		v = float64(t.Unix()) + float64(t.Nanosecond())/1e9
	default:
		L.ArgError(1, "expected seconds since 1970 or a text like 2026-01-31T12:00:00")
	}
	if !(v >= minSeconds && v <= maxSeconds) {
		L.ArgError(1, "outside the years 1 to 9999")
	}
	L.Push(L.NewUserData(DateTime(v), ts.DateTime, 8))
	return 1
}

// NewDate implements hearth.date(day) and hearth.date("2026-01-31").
func (ts *Types) NewDate(L *lua.Thread) int {
	var v int64
	arg := L.CheckAny(1)
	text, _ := arg.AsString()
	switch arg.Kind() {
	case lua.NumberKind:
		f, _ := arg.AsNumber()
		v = int64(f)
	case lua.StringKind:
		L.Charge(dateSteps)
		t, err := time.Parse("2006-01-02", Clip(text, 100))
		if err != nil {
			L.ArgError(1, "expected a day number or a text like 2026-01-31")
		}
		v = t.Unix()/86400 + daysTo1970 // midnight: the division is exact
	default:
		L.ArgError(1, "expected a day number or a text like 2026-01-31")
	}
	if v < 1 || v > maxDay {
		L.ArgError(1, "outside the years 1 to 9999")
	}
	L.Push(L.NewUserData(Date(v), ts.Date, 8))
	return 1
}
