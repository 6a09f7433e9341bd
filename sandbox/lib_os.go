package sandbox

import (
	"fmt"
	"math"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// openOS makes what is left of the os library: the time.
func (s *State) openOS() {
	fns := stockFunctions("os.", "clock", "difftime", "time")
	fns["date"] = s.osDate
	s.base.RawSetString("os", s.frozenTable(s.library(fns)))
}

// osDate is os.date. There is no locale and no zone but the machine's and UTC.
func (s *State) osDate(L *lua.LState) int {
	format := L.OptString(1, "%c")
	t := time.Now()
	if L.GetTop() >= 2 {
		n := float64(L.CheckNumber(2))
		if !(math.Abs(n) < 1<<40) {
			L.ArgError(2, "time out of range")
		}
		t = time.Unix(int64(n), 0)
	}
	if rest, ok := strings.CutPrefix(format, "!"); ok {
		format, t = rest, t.UTC()
	}
	if strings.HasPrefix(format, "*t") {
		out := L.CreateTable(0, 9)
		for name, v := range map[string]int{"year": t.Year(), "month": int(t.Month()), "day": t.Day(), "hour": t.Hour(),
			"min": t.Minute(), "sec": t.Second(), "wday": int(t.Weekday()) + 1, "yday": t.YearDay()} {
			out.RawSetString(name, number(int64(v)))
		}
		out.RawSetString("isdst", lua.LBool(t.IsDST()))
		L.Push(out)
		return 1
	}
	s.meter.chargeBytes(L, len(format)*16)
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		if layout, ok := dateLayouts[format[i]]; ok {
			b.WriteString(t.Format(layout))
			continue
		}
		switch format[i] {
		case '%':
			b.WriteByte('%')
		case 'j':
			fmt.Fprintf(&b, "%03d", t.YearDay())
		case 'w':
			fmt.Fprintf(&b, "%d", int(t.Weekday()))
		default:
			L.ArgError(1, "unknown conversion %"+string(rune(format[i])))
		}
	}
	L.Push(lua.LString(b.String()))
	return 1
}

var dateLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06",
	'F': "2006-01-02", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'S': "05", 'T': "15:04:05",
	'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}
