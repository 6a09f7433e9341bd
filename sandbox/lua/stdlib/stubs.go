package stdlib

import (
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// openStubs adds the harmless parts of io, debug and package that programs expect. Output goes to the host, no file
// opens, and debug only reads.
func (t *Template) openStubs() {
	write := func(L *lua.Thread) int {
		for i := 1; i <= L.Top(); i++ {
			L.CheckString(i)
		}
		of(L).print(L, "")
		L.Push(lua.True)
		return 1
	}
	refuse := func(L *lua.Thread) int {
		L.Push(lua.Nil)
		L.PushString("files are not available here")
		return 2
	}
	out := lua.NewTable(0, 2)
	stream := lua.NewUserData(logStream{}, out)
	methods := map[string]lua.Native{
		"write": func(L *lua.Thread) int {
			self := L.Get(1)
			if self != stream {
				L.ArgError(1, "FILE* expected")
			}
			for i := 2; i <= L.Top(); i++ {
				L.CheckString(i)
			}
			args := L.Args(2)
			L.SetTop(0)
			for _, v := range args {
				L.Push(v)
			}
			of(L).print(L, "")
			L.Push(self)
			return 1
		},
		"flush":   func(L *lua.Thread) int { L.SetTop(1); return 1 },
		"setvbuf": func(L *lua.Thread) int { L.Push(lua.True); return 1 },
		"close":   refuse, "read": refuse, "lines": refuse, "seek": refuse,
	}
	index := lua.NewTable(0, len(methods))
	for _, name := range sorted(methods) {
		index.SetString(name, lua.NewNative(methods[name]).Value())
	}
	out.SetString("__index", index.Value())
	out.SetString("__metatable", lua.String("FILE*"))
	out.SetString("__tostring", lua.NewNative(func(L *lua.Thread) int { return L.PushString("file (log)") }).Value())
	t.Add("io", map[string]lua.Native{
		"write": write, "open": refuse, "popen": refuse, "tmpfile": refuse, "read": refuse,
		"lines": func(L *lua.Thread) int {
			L.RaiseError("files are not available here")
			return 0
		},
		"type": func(L *lua.Thread) int {
			if L.CheckAny(1) == stream {
				return L.PushString("file")
			}
			L.Push(lua.Nil)
			return 1
		},
	})
	t.tables["io"].SetString("stdout", stream)
	t.tables["io"].SetString("stderr", stream)
	// Unlike in PUC, getmetatable respects __metatable, because values of the host share metatables.
	t.Add("debug", map[string]lua.Native{"traceback": traceback, "getinfo": getInfo, "getmetatable": baseGetMetatable})
	t.Add("package", nil)
	p := t.tables["package"]
	p.SetString("config", lua.String("/\n;\n?\n!\n-"))
	p.SetString("path", lua.String("./lib/?.lua;./lib/?/init.lua"))
	p.SetString("cpath", lua.String(""))
}

// logStream is the Go value of io.stdout and io.stderr.
type logStream struct{}

// threadArg returns the thread that a function of debug operates on, and the number of the next argument.
func threadArg(L *lua.Thread) (target *lua.Thread, next int) {
	if co := L.Get(1).AsThread(); co != nil {
		return co, 2
	}
	return L, 1
}

// traceback implements debug.traceback([thread,] [message [, level]]).
func traceback(L *lua.Thread) int {
	level := 1
	of, arg := threadArg(L)
	if of != L {
		level = 0
	}
	message := ""
	if v := L.Get(arg); L.Top() >= arg {
		text, ok := v.ToString()
		if !ok {
			L.Push(v)
			return 1
		}
		message = text + "\n"
	}
	if n, ok := L.ToNumber(L.Get(arg + 1)); ok {
		level = int(n)
	}
	return L.PushString(of.Traceback(message, level))
}

// getInfo implements debug.getinfo([thread,] function or level [, fields]). It returns no more than error messages
// show.
func getInfo(L *lua.Thread) int {
	of, arg := threadArg(L)
	what := L.OptString(arg+1, "nSlfu")
	var at lua.Level
	if f := L.Get(arg).AsFunction(); f != nil {
		at.Fn = f
	} else {
		if _, ok := L.ToNumber(L.Get(arg)); !ok {
			L.ArgError(arg, "function or level expected")
		}
		level := L.CheckInt32(arg)
		var ok bool
		at, ok = of.Level(level)
		if level < 0 || !ok {
			L.Push(lua.Nil)
			return 1
		}
	}
	L.Charge(100 + len(what)>>2)
	t := L.NewTable(0, 12)
	set := func(name string, v lua.Value) { L.RawSet(t, lua.String(name), v) }
	var seen [256]bool // the options are a set: repeating one does not repeat its work
	for i := range len(what) {
		c := what[i]
		if seen[c] {
			continue
		}
		seen[c] = true
		switch c {
		case 'S':
			setSource(set, at)
		case 'l':
			line := -1
			if at.Line > 0 {
				line = at.Line
			}
			set("currentline", lua.Int(line))
		case 'n':
			set("namewhat", lua.String(at.Kind))
			if at.Name != "" || at.Fn == nil {
				set("name", lua.String(at.Name))
			}
		case 'u':
			n := 0
			if at.Fn != nil {
				n = at.Fn.Upvalues()
			}
			set("nups", lua.Int(n))
		case 'f':
			if at.Fn != nil {
				set("func", at.Fn.Value())
			}
		default:
			L.ArgError(arg+1, "invalid option")
		}
	}
	L.Push(t.Value())
	return 1
}

func setSource(set func(string, lua.Value), at lua.Level) {
	what := "C"
	chunk := "[C]"
	from := -1
	to := -1
	switch {
	case at.Fn == nil:
		what, chunk = "tail", "(tail call)"
	case at.Fn.Proto() != nil:
		p := at.Fn.Proto()
		what = "Lua"
		chunk = p.Chunk
		from = p.Line
		to = p.EndLine
		if from == 0 {
			what, to = "main", 0
		}
	}
	source := "=" + chunk
	if what == "Lua" || what == "main" {
		source = "@" + strings.TrimPrefix(chunk, "@")
	}
	set("what", lua.String(what))
	set("source", lua.String(source))
	set("short_src", lua.String(chunk))
	set("linedefined", lua.Int(from))
	set("lastlinedefined", lua.Int(to))
}
