// Package sandbox is the Lua engine: it loads a script, keeps its states, and runs calls
// within limits. Values come and go through [object.Sink]; serializers, sockets and
// processes are other packages' business.
package sandbox

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/hearthhost/hearth/object"
)

// Env is what the engine asks of the process around it. Its methods are called from
// several goroutines.
type Env interface {
	// Log takes a line of a script; level is debug, info, warn or error.
	Log(id object.ID, level, msg string)
	// Proxy calls another object as r.From. A *RemoteException becomes a Lua error.
	Proxy(ctx context.Context, r *ProxyCall) error
}

// ProxyCall is a call that a script makes with hearth.proxy.
type ProxyCall struct {
	From, To object.ID
	Kind     object.CallKind
	Method   object.Method
	Chain    []object.ID
	Args     func(object.Sink) error // writes the positional arguments, then keywords
	Result   object.Sink
	Corr     [16]byte
}

// RemoteException is what another object raised.
type RemoteException struct {
	Class   string
	Args    []any
	Message string
}

// Error returns class and message.
func (e *RemoteException) Error() string { return e.Class + ": " + e.Message }

// Limits bound what one call may use. Zero means the default.
type Limits struct {
	Steps       int64         // VM instructions; default 50 million. Built-ins count as one.
	Wall        time.Duration // default 5 s
	SourceBytes int           // default 64 KiB
}

const (
	defaultSteps       = 50_000_000
	defaultWall        = 5 * time.Second
	defaultSourceBytes = 64 << 10
	maxNesting         = 200
)

func (l Limits) orDefaults() Limits {
	if l.Steps <= 0 {
		l.Steps = defaultSteps
	}
	if l.Wall <= 0 {
		l.Wall = defaultWall
	}
	if l.SourceBytes <= 0 {
		l.SourceBytes = defaultSourceBytes
	}
	return l
}

// Config is a script and what it runs with. ID, Source, File and Env are required.
type Config struct {
	ID     object.ID
	Source []byte
	File   string            // for messages, for example "acme/counter.lua"
	Libs   map[string][]byte // modules for require
	Env    Env
	Limits Limits
}

// Program is a checked script. Safe for concurrent use.
type Program struct {
	cfg   Config
	proto *lua.FunctionProto
	libs  map[string]*lua.FunctionProto
	desc  *object.Description
}

// Load checks and compiles a script and its modules, runs it once within limits and
// reads what it exposes. The error's message names file and line and is safe to show.
func Load(ctx context.Context, cfg Config) (*Program, error) {
	cfg.Limits = cfg.Limits.orDefaults()
	p := &Program{cfg: cfg, libs: map[string]*lua.FunctionProto{}}
	var err error
	if p.proto, err = compile(cfg.Source, cfg.File, cfg.Limits.SourceBytes); err != nil {
		return nil, p.broken("%s", safeMessage(err))
	}
	for name, src := range cfg.Libs {
		file := string(cfg.ID.Tenant()) + "/lib/" + strings.ReplaceAll(name, ".", "/") + ".lua"
		// A broken module breaks who requires it, and nobody else.
		if proto, err := compile(src, file, cfg.Limits.SourceBytes); err == nil {
			p.libs[name] = proto
		}
	}
	s, err := p.NewState(ctx)
	if err != nil {
		return nil, err
	}
	p.desc = s.describe()
	s.Close(ctx)
	return p, nil
}

// broken is the error of a script that cannot be served.
func (p *Program) broken(format string, args ...any) error {
	return object.Errorf(object.CodeUnavailable, "%s does not load: %s", p.cfg.ID, fmt.Sprintf(format, args...))
}

// Description says what the object exposes.
func (p *Program) Description() *object.Description { return p.desc }

// Mode is the object's instance mode.
func (p *Program) Mode() object.InstanceMode { return p.desc.Instance }

// compile turns source into a prototype that states share. Nesting is bounded before
// the parser sees it: its recursion is the one thing that nobody can recover from.
func compile(src []byte, file string, max int) (proto *lua.FunctionProto, err error) {
	broken := func(format string, a ...any) error {
		return object.Errorf(object.CodeUnavailable, "%s: %s", file, fmt.Sprintf(format, a...))
	}
	if len(src) > max {
		return nil, broken("%d bytes: at most %d are allowed", len(src), max)
	}
	if depth, line := nesting(src); depth > maxNesting {
		return nil, broken("line %d: nested deeper than %d", line, maxNesting)
	}
	defer func() {
		if r := recover(); r != nil {
			proto, err = nil, broken("the compiler gave up")
		}
	}()
	chunk, err := parse.Parse(strings.NewReader(string(src)), file)
	if err != nil {
		return nil, broken("%s", strings.TrimSpace(err.Error()))
	}
	if proto, err = lua.Compile(chunk, file); err != nil {
		return nil, broken("%s", strings.TrimSpace(err.Error()))
	}
	return proto, nil
}

var wordRE = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)

// nesting estimates, never too low, how deep brackets, blocks and unary or
// right-associative operators nest. It returns the greatest depth and its line.
func nesting(src []byte) (deepest, line int) {
	depth, run, at := 0, 0, 1
	note := func(d int) {
		if d > deepest {
			deepest, line = d, at
		}
	}
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c == '\n':
			at++
			i++
		case c == '-' && i+1 < len(src) && src[i+1] == '-':
			i = skipComment(src, i, &at)
		case c == '"' || c == '\'':
			run = 0
			i = skipQuoted(src, i, &at)
		case c == '[' && longLevel(src, i) >= 0:
			run = 0
			i = skipLong(src, i, longLevel(src, i), &at)
		case c == '(' || c == '{' || c == '[':
			depth++
			note(depth + run)
			i++
		case c == ')' || c == '}' || c == ']':
			depth--
			run = 0
			i++
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_':
			w := wordRE.Find(src[i:])
			switch string(w) {
			case "function", "do", "then", "repeat", "elseif", "else":
				depth++
				run = 0
			case "end", "until":
				depth--
				run = 0
			case "not":
				run++
			case "and", "or":
				run++
			case "local", "return", "if", "while", "for":
				run = 0
			}
			note(depth + run)
			i += len(w)
		case c == '^' || c == '-' || c == '#' || c == '.':
			run++
			note(depth + run/4)
			i++
		case c == ';' || c == '=' || c == ',':
			run = 0
			i++
		default:
			i++
		}
		if depth < 0 {
			depth = 0
		}
	}
	return deepest, line
}

func skipQuoted(src []byte, i int, line *int) int {
	q := src[i]
	for i++; i < len(src) && src[i] != q; i++ {
		if src[i] == '\n' {
			*line++
			return i
		}
		if src[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func longLevel(src []byte, i int) int {
	j := i + 1
	for j < len(src) && src[j] == '=' {
		j++
	}
	if j < len(src) && src[j] == '[' {
		return j - i - 1
	}
	return -1
}

func skipLong(src []byte, i, level int, line *int) int {
	end := "]" + strings.Repeat("=", level) + "]"
	k := strings.Index(string(src[i:]), end)
	if k < 0 {
		return len(src)
	}
	*line += strings.Count(string(src[i:i+k]), "\n")
	return i + k + len(end)
}

func skipComment(src []byte, i int, line *int) int {
	if i+2 < len(src) && src[i+2] == '[' {
		if level := longLevel(src, i+2); level >= 0 {
			return skipLong(src, i+2, level, line)
		}
	}
	k := slices.Index(src[i:], '\n')
	if k < 0 {
		return len(src)
	}
	return i + k
}
