package deps_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hearthhost/hearth"

// pkg is what `go list -json` tells about one package.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// name returns the import path below the module, "." for its root.
func (p pkg) name() string { return short(p.ImportPath) }

func short(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

// packages asks the Go tool for every package of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-pgo=off", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 3 {
		t.Fatalf("go list knows only %d packages of %s", len(all), module)
	}
	return all
}

// edge says what a package may import of our own, and why no more.
type edge struct {
	pkg string
	may []string
	why string
}

// edges is the whole graph. A package that is not here may not exist; an edge that is
// not here may not either. Tests are free: an interface is often tried out with a
// neighbour.
var edges = []edge{
	{pkg: "object", why: "it holds the nouns, everyone imports it, so it imports nobody"},
	{pkg: "transport", may: []string{"object", "transport/signed", "internal/cgroup", "internal/nonblock", "internal/safefile"}, why: "a stage knows the nouns, never another stage"},
	{pkg: "transport/keyfile", may: []string{"internal/safefile"}, why: "a file format knows nothing else"},
	{pkg: "transport/enroll", may: []string{"internal/safefile"}, why: "tokens are files"},
	{pkg: "transport/ca", may: []string{"internal/safefile"}, why: "an authority knows certificates and files"},
	{pkg: "transport/signed", why: "the channel that host and clients share knows sockets only"},
	{pkg: "wire", may: []string{"object"}, why: "a stage knows the nouns, never another stage"},
	{pkg: "codec", may: []string{"object", "internal/unsafestr"}, why: "a stage knows the nouns, never another stage"},
	{pkg: "audit", may: []string{"object", "internal/flock", "internal/shell", "audit/trail", "audit/evidence"}, why: "a stage knows the nouns, never another stage"},
	{pkg: "audit/trail", why: "a reader needs the format of the log only"},
	{pkg: "audit/evidence", may: []string{"object", "internal/shell", "audit/trail"}, why: "it selects records and writes one file"},
	{pkg: "policy", may: []string{"object", "internal/bytesize"}, why: "a stage knows the nouns, never another stage"},
	{pkg: "sandbox", may: []string{"object", "sandbox/budget", "sandbox/lua", "sandbox/lua/stdlib", "sandbox/values", "sandbox/convert"}, why: "a stage knows the nouns, never another stage"},
	{pkg: "sandbox/budget", may: []string{"object", "sandbox/lua", "internal/bytesize"}, why: "it meters a VM and imports nothing else of the engine"},
	{pkg: "sandbox/values", may: []string{"object", "internal/unsafestr", "sandbox/lua", "sandbox/lua/stdlib"}, why: "it adds values to a VM and imports nothing else of the engine"},
	{pkg: "sandbox/convert", may: []string{"object", "internal/unsafestr", "sandbox/budget", "sandbox/lua", "sandbox/values"}, why: "it converts values and imports no serializer"},
	{pkg: "sandbox/lua", may: []string{"sandbox/lua/arith", "sandbox/lua/code", "sandbox/lua/syntax"}, why: "the VM knows Lua, and nothing of hearth"},
	{pkg: "sandbox/lua/code", may: []string{"sandbox/lua/syntax"}, why: "a compiler knows its source and its target"},
	{pkg: "sandbox/lua/stdlib", may: []string{"sandbox/lua", "sandbox/lua/arith"}, why: "the libraries know the VM, and nothing of hearth"},
	{pkg: "sandbox/lua/syntax", may: []string{"sandbox/lua/arith"}, why: "a parser folds constants, and knows nothing else"},
	{pkg: "sandbox/lua/arith", why: "numbers know nothing"},
	{pkg: "sandbox/link", may: []string{"object", "internal/nonblock"}, why: "the frames between host and worker are part of a stage"},
	{pkg: "sandbox/link/linktest", may: []string{"internal/socketpair"}, why: "tests join host and worker in one process"},
	{pkg: "sandbox/api", why: "a list of names"},
	{pkg: "sandbox/confine", may: []string{"internal/cgroup"}, why: "walls know nothing of what is behind them"},
	{pkg: "sandbox/supervise", may: []string{"object", "sandbox/link", "sandbox/confine", "internal/procstat", "internal/backoff", "internal/nonblock", "internal/redact", "internal/socketpair"},
		why: "it runs in the host's process, where no Lua and no codec of arguments may be"},
	{pkg: "sandbox/worker", may: []string{"object", "codec", "internal/nonblock", "sandbox", "sandbox/link", "sandbox/confine", "internal/redact", "internal/socketpair", "internal/bytesize"},
		why: "the worker process joins codec and engine, and no more than it needs may run there"},
	{pkg: "plugins", may: []string{"internal/backoff", "object", "plugins/binary", "plugins/launch", "plugins/rpc", "sandbox/confine", "internal/procstat"}, why: "it runs in the host's process, where no codec of arguments may be"},
	{pkg: "plugins/binary", may: []string{"internal/safefile", "internal/shell"}, why: "it checks and copies an executable file"},
	{pkg: "plugins/launch", may: []string{"object", "plugins/binary", "plugins/rpc", "sandbox/confine", "internal/procstat"}, why: "it starts a process and makes no calls of a plugin"},
	{pkg: "plugins/rpc", why: "the protocol of plugins is generated and knows nothing"},
	{pkg: "plugins/sdk", may: []string{"object", "codec", "plugins/rpc"}, why: "it runs in the plugin's process and has no part of the host in it"},
	{pkg: "plugins/sdk/plugintest", may: []string{"object", "codec", "plugins", "plugins/rpc", "plugins/sdk"}, why: "it joins a plugin and what runs it, for tests"},
	{pkg: "plugins/examples/checksum", may: []string{"plugins/sdk"}, why: "authors have the SDK and nothing else"},
	{pkg: "plugins/examples/table", may: []string{"plugins/sdk"}, why: "authors have the SDK and nothing else"},
	{pkg: "plugins/examples/misbehave", may: []string{"plugins/sdk"}, why: "authors have the SDK and nothing else"},
	{pkg: "client", may: []string{"object", "wire", "codec", "transport/signed", "transport/keyfile", "internal/nonblock", "internal/safefile"}, why: "a client speaks the protocol and has no part of the host in it"},
	{pkg: "host", may: []string{"object", "transport", "wire", "codec", "policy", "audit", "sandbox/supervise", "sandbox/confine", "sandbox/link", "plugins", "plugins/binary", "transport/signed", "transport/keyfile", "transport/ca", "transport/enroll", "internal/procstat", "internal/backoff", "internal/cgroup", "internal/flock", "internal/inflight", "internal/nonblock", "internal/otlp", "internal/safefile", "internal/redact", "internal/secretfile", "internal/shell", "internal/safewalk", "internal/watch", "host/admit"},
	{pkg: "host/admit", may: []string{"object", "policy", "transport", "internal/cgroup", "internal/inflight"}, why: "it decides when a call may begin, and knows nothing of how calls run"},
	{pkg: "host/usage", may: []string{"object", "internal/procstat"}, why: "it counts and reports, and knows nothing of how calls run"},
	{pkg: "host/trace", may: []string{"object", "policy", "host/usage", "internal/otlp"}, why: "it makes spans of calls, and knows nothing of how they run"},
	{pkg: "host", may: []string{"object", "host/admit", "host/trace", "host/usage", "transport", "wire", "codec", "policy", "audit", "sandbox/supervise", "sandbox/confine", "sandbox/link", "plugins", "transport/signed", "transport/keyfile", "transport/ca", "transport/enroll", "internal/procstat", "internal/backoff", "internal/cgroup", "internal/flock", "internal/inflight", "internal/nonblock", "internal/otlp", "internal/safefile", "internal/redact", "internal/secretfile", "internal/shell", "internal/safewalk", "internal/watch"},
		why: "the host composes stages, but the Lua VM (sandbox itself) never runs in its process"},
	{pkg: "cmd/hearth", may: []string{"object", "transport", "wire", "codec", "policy", "audit", "audit/trail", "host", "client", "sandbox/worker", "sandbox/supervise", "sandbox/confine", "sandbox/api", "plugins/launch", "transport/signed", "transport/keyfile", "transport/ca", "transport/enroll", "internal/cgroup", "internal/safefile", "internal/secretfile", "internal/shell", "internal/systemd", "internal/socketpair", "internal/bytesize"},
		why: "a command starts things and does nothing itself"},
	{pkg: "internal/inflight", may: []string{"internal/bytesize"}, why: "it counts bytes and knows not whose"},
	{pkg: "internal/procstat", why: "it asks the kernel about processes and knows nothing"},
	{pkg: "internal/cgroup", why: "it reads limits of the system and knows nothing"},
	{pkg: "internal/safefile", may: []string{"internal/flock", "internal/shell"}, why: "it reads and writes files and knows nothing"},
	{pkg: "internal/redact", why: "it looks for texts in texts and knows nothing"},
	{pkg: "internal/secretfile", may: []string{"internal/safefile", "internal/redact"}, why: "it reads and writes files with secrets, and knows not whose"},
	{pkg: "internal/bytesize", why: "it formats numbers and imports no other package"},
	{pkg: "internal/flock", why: "it locks files and imports no other package"},
	{pkg: "internal/backoff", why: "it counts crashes and knows not whose"},
	{pkg: "internal/safewalk", why: "it walks folders and knows nothing"},
	{pkg: "internal/watch", may: []string{"internal/safewalk"}, why: "it tells of changes in folders and knows nothing"},
	{pkg: "internal/shell", why: "it quotes words and knows nothing"},
	{pkg: "internal/socketpair", why: "it makes a pair of sockets and knows nothing"},
	{pkg: "internal/unsafestr", why: "it shares memory and knows nothing"},
	{pkg: "internal/nonblock", why: "it makes system calls and knows nothing"},
	{pkg: "internal/otlp", why: "it sends spans and knows nothing of what they are about"},
	{pkg: "internal/systemd", why: "it reads variables, writes lines, and knows nothing of hosts"},
	{pkg: "internal/luafuzz", why: "it generates programs and compares traces, of whatever engine its tests connect"},
	{pkg: "internal/prose", why: "a test that reads source text"},
	{pkg: "internal/deps", why: "it only draws the graph"},
}

// doors says which packages may import a module of others: one door each, so that
// replacing it is the business of one folder.
var doors = []struct {
	module string
	at     []string
	test   bool // in tests anybody may
	why    string
}{
	{module: "github.com/yuin/gopher-lua", test: true, why: "a benchmark compares our VM with it"},
	{module: "github.com/hashicorp/hcl/v2", at: []string{"policy"}, why: "only policy reads HCL"},
	{module: "github.com/zclconf/go-cty", at: []string{"policy"}, why: "HCL's values stay where HCL is"},
	{module: "github.com/fsnotify/fsnotify", at: []string{"internal/watch"}, why: "only internal/watch asks for file events"},
	{module: "github.com/spf13/cobra", at: []string{"cmd/hearth"}, why: "flags are parsed in cmd only"},
	{module: "github.com/spf13/pflag", at: []string{"cmd/hearth"}, why: "flags are parsed in cmd only"},
	{module: "filippo.io/age", at: []string{"internal/secretfile"}, test: true, why: "one folder encrypts and decrypts secrets"},
	{module: "golang.org/x/sys", at: []string{"transport", "sandbox/confine", "plugins/binary", "plugins/launch", "host", "cmd/hearth"},
		test: true, why: "system calls belong to the edges: peers, processes, signals"},
	{module: "github.com/landlock-lsm/go-landlock", at: []string{"sandbox/confine"}, why: "only confine speaks with the kernel about walls"},
	{module: "kernel.org/pub/linux/libs/security/libcap/psx", at: []string{"sandbox/confine"}, why: "only confine changes threads under the runtime"},
	{module: "github.com/hashicorp/go-plugin", at: []string{"plugins", "plugins/sdk", "plugins/sdk/plugintest"}, why: "only plugins runs other people's programs"},
	{module: "github.com/hashicorp/go-hclog", at: []string{"plugins", "plugins/sdk", "plugins/sdk/plugintest"}, test: true, why: "go-plugin wants one of its loggers, to say nothing with"},
	{module: "google.golang.org/grpc", at: []string{"plugins", "plugins/rpc", "plugins/sdk", "plugins/sdk/plugintest"}, test: true, why: "the protocol of plugins, and of nothing else"},
	{module: "google.golang.org/protobuf", at: []string{"plugins/rpc"}, why: "the generated messages of plugins"},
	{module: "github.com/google/go-cmp", test: true, why: "for tests"},
	{module: "pgregory.net/rapid", test: true, why: "for tests"},
	{module: "go.uber.org/goleak", test: true, why: "for tests"},
	{module: "github.com/rogpeppe/go-internal", test: true, why: "for tests"},
}

func TestOwnEdges(t *testing.T) {
	for _, p := range packages(t) {
		i := slices.IndexFunc(edges, func(e edge) bool { return e.pkg == p.name() })
		if i < 0 {
			t.Errorf("package %s is not in the graph: a new package earns its place in the design first", p.name())
			continue
		}
		for _, imp := range p.Imports {
			if own(imp) && !slices.Contains(edges[i].may, short(imp)) {
				t.Errorf("%s imports %s, and may not: %s", p.name(), short(imp), edges[i].why)
			}
		}
	}
}

func TestObjectImportsTheStandardLibraryOnly(t *testing.T) {
	for _, p := range packages(t) {
		if p.name() != "object" {
			continue
		}
		for _, imp := range p.Imports {
			if !standard(imp) {
				t.Errorf("object imports %s: every package inherits what object imports", imp)
			}
		}
		return
	}
	t.Error("there is no package object")
}

func TestForeignModulesHaveOneDoor(t *testing.T) {
	for _, p := range packages(t) {
		check := func(imports []string, inTest bool) {
			for _, imp := range imports {
				if own(imp) || standard(imp) {
					continue
				}
				known := false
				for _, d := range doors {
					if imp != d.module && !strings.HasPrefix(imp, d.module+"/") {
						continue
					}
					known = true
					if !slices.Contains(d.at, p.name()) && !(inTest && d.test) {
						t.Errorf("%s imports %s, and may not: %s", p.name(), imp, d.why)
					}
				}
				if !known {
					t.Errorf("%s imports %s, which is no dependency we decided on: see doc/dependencies.md", p.name(), imp)
				}
			}
		}
		check(p.Imports, false)
		check(p.TestImports, true)
		check(p.XTestImports, true)
	}
}

// TestNothingDangerous keeps out the parts of the standard library that would undo a
// promise of the design.
func TestNothingDangerous(t *testing.T) {
	banned := map[string]string{
		"plugin":       "code of others never runs in the host's process",
		"encoding/gob": "no format that can name our types is read from outside",
		"math/rand":    "crypto/rand for what must not be guessed, math/rand/v2 for the rest",
		"expvar":       "it registers a handler by being imported",
	}
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			if why := banned[imp]; why != "" {
				t.Errorf("%s imports %s, and may not: %s", p.name(), imp, why)
			}
		}
	}
}

func own(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

// standard reports whether path is of the standard library: those have no dot in the
// first element.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}
