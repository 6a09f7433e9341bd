package stdlib

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// started is the start of os.clock, which measures wall time: the processor time of a script is not available.
var started = time.Now()

// openOS adds the time functions of the os library. There are no locales, and no time zones except the machine's and
// UTC.
func (t *Template) openOS() {
	t.Add("os", map[string]lua.Native{
		"clock": func(L *lua.Thread) int {
			L.Push(lua.Number(time.Since(started).Seconds()))
			return 1
		},
		"difftime": func(L *lua.Thread) int {
			L.Push(lua.Number(L.CheckNumber(1) - L.OptNumber(2, 0)))
			return 1
		},
		"date": osDate, "time": osTime,
		"getenv": func(L *lua.Thread) int {
			L.CheckString(1)
			L.Push(lua.Nil)
			return 1
		},
		"exit": func(L *lua.Thread) int {
			L.RaiseError("os.exit is not available here")
			return 0
		},
		"setlocale": func(L *lua.Thread) int {
			if name := L.OptString(1, "C"); name != "C" && name != "" && name != "POSIX" {
				L.Push(lua.Nil)
				return 1
			}
			return L.PushString("C")
		},
	})
}

func osTime(L *lua.Thread) int {
	if L.Get(1).IsNil() {
		L.Push(lua.Int(int(time.Now().Unix())))
		return 1
	}
	t := L.CheckTable(1)
	field := func(name string, otherwise int) int {
		v := L.Index(t.Value(), lua.String(name))
		if f, ok := L.ToNumber(v); ok {
			return int(int32(int64(f)))
		}
		if otherwise < 0 {
			L.RaiseError("field '%s' missing in date table", name)
		}
		return otherwise
	}
	sec := field("sec", 0)
	minute := field("min", 0)
	hour := field("hour", 12)
	day := field("day", -1)
	month := field("month", -1)
	year := field("year", -1)
	at := time.Date(year, time.Month(month), day, hour, minute, sec, 0, time.Local)
	if L.Index(t.Value(), lua.String("isdst")).Truth() && !at.IsDST() {
		at = at.Add(-time.Hour)
	}
	L.Push(lua.Int(int(at.Unix())))
	return 1
}

func osDate(L *lua.Thread) int {
	format := L.OptString(1, "%c")
	L.Charge(conversionSteps)
	t := time.Now()
	if !L.Get(2).IsNil() {
		n := L.CheckNumber(2)
		if !(math.Abs(n) < 1<<40) {
			L.ArgError(2, "time out of range")
		}
		t = time.Unix(int64(n), 0)
	}
	if rest, ok := strings.CutPrefix(format, "!"); ok {
		format, t = rest, t.UTC()
	}
	if strings.HasPrefix(format, "*t") {
		L.Charge(2 * conversionSteps)
		L.Push(dateTable(L, t).Value())
		return 1
	}
	L.ChargeBytes(len(format))
	format, _, _ = strings.Cut(format, "\x00") // C strings end at NUL
	b := L.NewBuilder(len(format))
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.AddByte(format[i])
			continue
		}
		i++
		L.Charge(conversionSteps)
		b.Room(maxConversion)
		b.B = appendDate(b.B, t, format[i])
	}
	return b.Push()
}

const (
	conversionSteps = 40 // a conversion of os.date
	maxConversion   = 64 // length limit of one conversion, in bytes; the longest is %c
)

func dateTable(L *lua.Thread, t time.Time) *lua.Table {
	out := L.NewTable(0, 9)
	set := func(name string, v int) { out.SetString(name, lua.Int(v)) }
	set("sec", t.Second())
	set("min", t.Minute())
	set("hour", t.Hour())
	set("day", t.Day())
	set("month", int(t.Month()))
	set("year", t.Year())
	set("wday", int(t.Weekday())+1)
	set("yday", t.YearDay())
	out.SetString("isdst", lua.Bool(t.IsDST()))
	return out
}

// dateLayouts are the conversions with a Go layout.
var dateLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02",
	'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'P': "pm",
	'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05",
	'y': "06", 'Y': "2006",
	'z': "-0700", 'Z': "MST",
}

// appendDate appends one conversion of C's strftime. It appends unknown conversions unchanged.
func appendDate(b []byte, t time.Time, verb byte) []byte {
	if layout, ok := dateLayouts[verb]; ok {
		s := t.Format(layout)
		if verb == 'Z' && t.Location() == time.UTC {
			s = "GMT"
		}
		return append(b, s...)
	}
	pad := func(n, width int, fill byte) []byte {
		s := strconv.Itoa(n)
		for i := len(s); i < width; i++ {
			b = append(b, fill)
		}
		return append(b, s...)
	}
	isoYear, isoWeek := t.ISOWeek()
	weekday, yday := int(t.Weekday()), t.YearDay()-1
	switch verb {
	case '%':
		return append(b, '%')
	case 'n':
		return append(b, '\n')
	case 't':
		return append(b, '\t')
	case 'C':
		return pad(t.Year()/100, 2, '0')
	case 'g':
		return pad(isoYear%100, 2, '0')
	case 'G':
		return pad(isoYear, 4, '0')
	case 'j':
		return pad(yday+1, 3, '0')
	case 'k':
		return pad(t.Hour(), 2, ' ')
	case 'l':
		return pad((t.Hour()+11)%12+1, 2, ' ')
	case 's':
		return strconv.AppendInt(b, t.Unix(), 10)
	case 'u':
		return pad((weekday+6)%7+1, 1, '0')
	case 'U':
		return pad((yday+7-weekday)/7, 2, '0')
	case 'V':
		return pad(isoWeek, 2, '0')
	case 'w':
		return pad(weekday, 1, '0')
	case 'W':
		return pad((yday+7-(weekday+6)%7)/7, 2, '0')
	}
	return append(b, '%', verb)
}
