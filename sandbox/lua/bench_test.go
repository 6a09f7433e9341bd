package lua_test

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	gopher "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
)

// programs are the bodies that BenchmarkVM runs. Each returns a number, so that no work can be optimized away.
var programs = []struct{ name, body string }{
	{"fib", "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(22)"},
	{"methods", `local C = {} C.__index = C function C:inc(k) self.n = self.n + k return self end
		local o = setmetatable({n = 0}, C) for i = 1, 20000 do o:inc(i):inc(1) end return o.n`},
	{"closures", `local function adder(k) return function(x) return x + k end end
		local n = 0 for i = 1, 20000 do n = adder(i)(n) end return n`},
	{"loop", "local n = 0 for i = 1, 200000 do n = n + i % 7 end return n"},
	{"tables", "local t = {} for i = 1, 20000 do t[i] = i * 2 end " +
		"local n = 0 for k, v in pairs(t) do n = n + v end return n"},
	{"strings", "local t = {} " +
		"for i = 1, 1000 do t[#t + 1] = ('%d:%s'):format(i, 'x'):upper() end return #table.concat(t, ',')"},
	{"concat", "local s = '' for i = 1, 500 do s = s .. i end return #s"},
	// The sort has PUC's comparisons. gopher-lua uses Go's sort, which recognizes sorted input.
	{"sort", `local t, u, x = {}, {}, 42
		for i = 1, 2000 do x = (x * 1103515245 + 12345) % 2147483648 t[i], u[2001 - i] = x, x % 9973 end
		table.sort(t) table.sort(u, function(a, b) return a > b end) return t[1] + u[1]`},
	{"nbody", `local bodies = {}
		for i = 1, 5 do bodies[i] = {x = i, y = i * 2, z = i * 3, vx = 0, vy = 0, vz = 0, mass = 1 / i} end
		for step = 1, 400 do
		  for i = 1, 5 do local a = bodies[i]
		    for j = i + 1, 5 do local b = bodies[j]
		      local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
		      local d = dx * dx + dy * dy + dz * dz
		      local mag = 0.01 / (d * math.sqrt(d))
		      a.vx = a.vx - dx * b.mass * mag a.vy = a.vy - dy * b.mass * mag a.vz = a.vz - dz * b.mass * mag
		      b.vx = b.vx + dx * a.mass * mag b.vy = b.vy + dy * a.mass * mag b.vz = b.vz + dz * a.mass * mag
		    end
		  end
		  for i = 1, 5 do local b = bodies[i] b.x = b.x + 0.01 * b.vx b.y = b.y + 0.01 * b.vy b.z = b.z + 0.01 * b.vz end
		end
		return bodies[1].x`},
	{"spectral", `local n = 40
		local function A(i, j) local k = i + j - 1 return 1 / (k * (k - 1) * 0.5 + i) end
		local function av(x, y) for i = 1, n do local s = 0 for j = 1, n do s = s + x[j] * A(i, j) end y[i] = s end end
		local function atv(x, y) for i = 1, n do local s = 0 for j = 1, n do s = s + x[j] * A(j, i) end y[i] = s end end
		local u, v, t = {}, {}, {} for i = 1, n do u[i] = 1 end
		for i = 1, 5 do av(u, t) atv(t, v) av(v, t) atv(t, u) end
		local s = 0 for i = 1, n do s = s + u[i] * v[i] end return s`},
	{"fannkuch", `local n = 7
		local p, q, s, sign, flips, sum = {}, {}, {}, 1, 0, 0
		for i = 1, n do p[i], q[i], s[i] = i, i, i end
		while true do
		  local q0 = p[1]
		  if q0 ~= 1 then
		    for i = 2, n do q[i] = p[i] end
		    local f = 1
		    while true do
		      local qq = q[q0]
		      if qq == 1 then sum = sum + sign * f if f > flips then flips = f end break end
		      q[q0] = q0
		      if q0 >= 4 then local i, j = 2, q0 - 1 repeat q[i], q[j] = q[j], q[i] i = i + 1 j = j - 1 until i >= j end
		      q0 = qq f = f + 1
		    end
		  end
		  if sign == 1 then p[1], p[2] = p[2], p[1] sign = -1
		  else p[2], p[3] = p[3], p[2] sign = 1
		    for i = 3, n do
		      local sx = s[i]
		      if sx ~= 1 then s[i] = sx - 1 break end
		      if i == n then return sum + flips end
		      s[i] = i
		      local t = p[1] for j = 1, i do p[j] = p[j + 1] end p[i + 1] = t
		    end
		  end
		end`},
}

// BenchmarkVM runs the same programs in this VM with its meter (vm=hearth), in gopher-lua without one
// (vm=gopher) and in PUC Lua 5.1 (vm=puc) if lua5.1 is installed: benchstat -col /vm compares them.
func BenchmarkVM(b *testing.B) {
	for _, p := range programs {
		b.Run(p.name+"/vm=hearth", func(b *testing.B) { benchHearth(b, p.body) })
		b.Run(p.name+"/vm=gopher", func(b *testing.B) { benchGopher(b, p.body) })
		b.Run(p.name+"/vm=puc", func(b *testing.B) { benchPUC(b, p.body) })
	}
}

func benchHearth(b *testing.B, body string) {
	vm := lua.New(lua.Limits{})
	vm.Refill = func() (int64, error) { return 256, nil }
	g := stdlib.New(vm, stdlib.Config{}).Globals()
	vm.Main.SetGlobals(g)
	proto, err := lua.Compile("bench", body)
	if err != nil {
		b.Fatal(err)
	}
	f := lua.NewFunction(proto, g).Value()
	b.ReportAllocs()
	for b.Loop() {
		vm.Main.Push(f)
		if err := vm.Run(0, nil); err != nil {
			b.Fatal(err)
		}
		vm.Clear()
	}
}

func benchGopher(b *testing.B, body string) {
	l := gopher.NewState(gopher.Options{RegistrySize: 256, RegistryMaxSize: 1 << 20})
	defer l.Close()
	if err := l.DoString("function f() " + body + " end"); err != nil {
		b.Fatal(err)
	}
	f := l.GetGlobal("f")
	b.ReportAllocs()
	for b.Loop() {
		if err := l.CallByParam(gopher.P{Fn: f, NRet: 1, Protect: true}); err != nil {
			b.Fatal(err)
		}
		l.Pop(1)
	}
}

// benchPUC measures inside the PUC process, so that starting the process does not count.
func benchPUC(b *testing.B, body string) {
	path, err := exec.LookPath("lua5.1")
	if err != nil {
		b.Skip("lua5.1 is not installed")
	}
	script := fmt.Sprintf("local function f() %s end local t = os.clock() for i = 1, %d do f() end "+
		"print(os.clock() - t)", body, b.N)
	out, err := exec.CommandContext(b.Context(), path, "-e", script).Output()
	if err != nil {
		b.Fatal(err)
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(seconds*1e9/float64(b.N), "ns/op")
}
