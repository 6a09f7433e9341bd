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
	{
		pkg: "object",
		why: "it holds the nouns, everyone imports it, so it imports nobody",
	},
	{
		pkg: "transport",
		why: "a stage knows the nouns, never another stage",
		may: []string{
			"internal/cgroup",
			"internal/nonblock",
			"internal/safefile",
			"object",
			"transport/signed",
		},
	},
	{
		pkg: "transport/keyfile",
		why: "a file format knows nothing else",
		may: []string{
			"internal/safefile",
		},
	},
	{
		pkg: "transport/enroll",
		why: "tokens are files",
		may: []string{
			"internal/safefile",
		},
	},
	{
		pkg: "transport/ca",
		why: "an authority knows certificates and files",
		may: []string{
			"internal/safefile",
		},
	},
	{
		pkg: "transport/signed",
		why: "the channel that host and clients share knows sockets only",
	},
	{
		pkg: "wire",
		why: "a stage knows the nouns, never another stage",
		may: []string{
			"object",
		},
	},
	{
		pkg: "codec",
		why: "a stage knows the nouns, never another stage",
		may: []string{
			"internal/unsafestr",
			"object",
		},
	},
	{
		pkg: "codec/pyro",
		why: "numbers and names of the Pyro generations, for values of codec",
		may: []string{
			"codec",
			"object",
		},
	},
	{
		pkg: "audit",
		why: "a stage knows the nouns, never another stage",
		may: []string{
			"audit/evidence",
			"audit/trail",
			"internal/flock",
			"internal/shell",
			"object",
		},
	},
	{
		pkg: "audit/trail",
		why: "a reader needs the format of the log only",
	},
	{
		pkg: "audit/evidence",
		why: "it selects records and writes one file",
		may: []string{
			"audit/trail",
			"internal/shell",
			"object",
		},
	},
	{
		pkg: "policy",
		why: "a stage knows the nouns, never another stage",
		may: []string{
			"internal/bytesize",
			"object",
			"policy/condition",
			"policy/problem",
		},
	},
	{
		pkg: "policy/problem",
		why: "it reports errors of a file",
	},
	{
		pkg: "policy/syntax",
		why: "it reads HCL and imports nothing of policies",
		may: []string{
			"internal/bytesize",
			"policy/problem",
		},
	},
	{
		pkg: "policy/condition",
		why: "conditions are compiled and evaluated without a policy",
		may: []string{
			"object",
			"policy/problem",
			"policy/syntax",
		},
	},
	{
		pkg: "policy/policyfile",
		why: "it reads policy.hcl; the host decides without it",
		may: []string{
			"internal/bytesize",
			"object",
			"policy",
			"policy/condition",
			"policy/problem",
			"policy/syntax",
		},
	},
	{
		pkg: "policy/analysis",
		why: "it explains and compares policies; nothing that serves calls needs it",
		may: []string{
			"object",
			"policy",
			"policy/problem",
		},
	},
	{
		pkg: "sandbox",
		why: "a stage knows the nouns, never another stage",
		may: []string{
			"object",
			"sandbox/budget",
			"sandbox/convert",
			"sandbox/definition",
			"sandbox/heapsnap",
			"sandbox/lua",
			"sandbox/lua/stdlib",
			"sandbox/modules",
			"sandbox/values",
		},
	},
	{
		pkg: "sandbox/budget",
		why: "it meters a VM and imports nothing else of the engine",
		may: []string{
			"internal/bytesize",
			"object",
			"sandbox/lua",
		},
	},
	{
		pkg: "sandbox/values",
		why: "it adds values to a VM and imports nothing else of the engine",
		may: []string{
			"internal/unsafestr",
			"object",
			"sandbox/lua",
			"sandbox/lua/stdlib",
		},
	},
	{
		pkg: "sandbox/convert",
		why: "it converts values and imports no serializer",
		may: []string{
			"internal/unsafestr",
			"object",
			"sandbox/budget",
			"sandbox/lua",
			"sandbox/values",
		},
	},
	{
		pkg: "sandbox/heapsnap",
		why: "it reads the values of a VM and imports nothing else of the engine",
		may: []string{
			"sandbox/lua",
			"sandbox/values",
		},
	},
	{
		pkg: "sandbox/modules",
		why: "it finds modules for a VM and imports nothing else of the engine",
		may: []string{
			"object",
			"sandbox/lua",
			"sandbox/lua/stdlib",
			"sandbox/values",
		},
	},
	{
		pkg: "sandbox/definition",
		why: "it reads the values of a VM and imports nothing else of the engine",
		may: []string{
			"object",
			"sandbox/lua",
			"sandbox/values",
		},
	},
	{
		pkg: "sandbox/lua",
		why: "the VM knows Lua, and nothing of hearth",
		may: []string{
			"sandbox/lua/arith",
			"sandbox/lua/code",
			"sandbox/lua/syntax",
		},
	},
	{
		pkg: "sandbox/lua/code",
		why: "a compiler knows its source and its target",
		may: []string{
			"sandbox/lua/syntax",
		},
	},
	{
		pkg: "sandbox/lua/stdlib",
		why: "the libraries know the VM, and nothing of hearth",
		may: []string{
			"sandbox/lua",
			"sandbox/lua/arith",
		},
	},
	{
		pkg: "sandbox/lua/syntax",
		why: "a parser folds constants, and knows nothing else",
		may: []string{
			"sandbox/lua/arith",
		},
	},
	{
		pkg: "sandbox/lua/arith",
		why: "numbers know nothing",
	},
	{
		pkg: "sandbox/link",
		why: "the frames between host and worker are part of a stage",
		may: []string{
			"internal/nonblock",
			"object",
		},
	},
	{
		pkg: "sandbox/link/linktest",
		why: "tests join host and worker in one process",
		may: []string{
			"internal/socketpair",
		},
	},
	{
		pkg: "sandbox/api",
		why: "a list of names",
	},
	{
		pkg: "sandbox/confine/controlgroup",
		why: "it writes control group files and imports nothing of confine",
		may: []string{
			"internal/cgroup",
		},
	},
	{
		pkg: "sandbox/confine/rootfs",
		why: "it mounts file systems and imports nothing of confine",
	},
	{
		pkg: "sandbox/confine/seccomp",
		why: "it builds filters and imports nothing of confine",
	},
	{
		pkg: "sandbox/confine",
		why: "walls know nothing of what is behind them",
		may: []string{
			"sandbox/confine/controlgroup",
			"sandbox/confine/rootfs",
			"sandbox/confine/seccomp",
		},
	},
	{
		pkg: "sandbox/supervise",
		why: "it runs in the host's process, where no Lua and no codec of arguments may be",
		may: []string{
			"internal/backoff",
			"internal/nonblock",
			"internal/procstat",
			"internal/redact",
			"internal/socketpair",
			"object",
			"sandbox/confine",
			"sandbox/link",
		},
	},
	{
		pkg: "sandbox/worker",
		why: "the worker process joins codec and engine, and no more than it needs may run there",
		may: []string{
			"codec",
			"codec/pyro",
			"internal/bytesize",
			"internal/nonblock",
			"internal/redact",
			"internal/socketpair",
			"object",
			"sandbox",
			"sandbox/confine",
			"sandbox/link",
		},
	},
	{
		pkg: "plugins",
		why: "it runs in the host's process, where no codec of arguments may be",
		may: []string{
			"internal/backoff",
			"internal/procstat",
			"object",
			"plugins/binary",
			"plugins/launch",
			"plugins/rpc",
			"sandbox/confine",
		},
	},
	{
		pkg: "plugins/binary",
		why: "it checks and copies an executable file",
		may: []string{
			"internal/safefile",
			"internal/shell",
		},
	},
	{
		pkg: "plugins/launch",
		why: "it starts a process and makes no calls of a plugin",
		may: []string{
			"internal/procstat",
			"object",
			"plugins/binary",
			"plugins/rpc",
			"sandbox/confine",
		},
	},
	{
		pkg: "plugins/rpc",
		why: "the protocol of plugins is generated and knows nothing",
	},
	{
		pkg: "plugins/sdk",
		why: "it runs in the plugin's process and has no part of the host in it",
		may: []string{
			"codec",
			"codec/pyro",
			"object",
			"plugins/rpc",
		},
	},
	{
		pkg: "plugins/sdk/plugintest",
		why: "it joins a plugin and what runs it, for tests",
		may: []string{
			"codec",
			"codec/pyro",
			"object",
			"plugins",
			"plugins/rpc",
			"plugins/sdk",
		},
	},
	{
		pkg: "plugins/examples/checksum",
		why: "authors have the SDK and nothing else",
		may: []string{
			"plugins/sdk",
		},
	},
	{
		pkg: "plugins/examples/table",
		why: "authors have the SDK and nothing else",
		may: []string{
			"plugins/sdk",
		},
	},
	{
		pkg: "plugins/examples/misbehave",
		why: "authors have the SDK and nothing else",
		may: []string{
			"plugins/sdk",
		},
	},
	{
		pkg: "client",
		why: "a client speaks the protocol and has no part of the host in it",
		may: []string{
			"codec",
			"codec/pyro",
			"internal/nonblock",
			"internal/safefile",
			"object",
			"transport/keyfile",
			"transport/signed",
			"wire",
		},
	},
	{
		pkg: "host/fault",
		why: "reports about files know the policy, to select who may see them",
		may: []string{
			"object",
			"policy",
		},
	},
	{
		pkg: "host/credential",
		why: "it reads keys, certificates and secrets, and does not serve calls",
		may: []string{
			"host/fault",
			"internal/redact",
			"internal/safefile",
			"internal/secretfile",
			"internal/watch",
			"object",
			"policy",
			"sandbox/supervise",
			"transport",
			"transport/ca",
			"transport/enroll",
			"transport/keyfile",
			"transport/signed",
		},
	},
	{
		pkg: "host/route",
		why: "a table of backends imports the nouns only",
		may: []string{
			"object",
		},
	},
	{
		pkg: "host/snapshot",
		why: "it joins policy, routes and credentials of one generation",
		may: []string{
			"host/credential",
			"host/route",
			"object",
			"policy",
		},
	},
	{
		pkg: "host/dispatch",
		why: "it owns the order of a call and imports no gateway and no kind of backend",
		may: []string{
			"audit",
			"host/admit",
			"host/route",
			"host/snapshot",
			"host/trace",
			"host/usage",
			"object",
			"policy",
		},
	},
	{
		pkg: "host/builtin",
		why: "the host's own objects are backends like others",
		may: []string{
			"codec",
			"codec/pyro",
			"host/credential",
			"host/dispatch",
			"host/fault",
			"host/route",
			"host/snapshot",
			"object",
			"policy",
			"transport/ca",
			"transport/enroll",
			"transport/keyfile",
			"wire",
		},
	},
	{
		pkg: "host",
		why: "the host composes stages, but the Lua VM (sandbox itself) never runs in its process",
		may: []string{
			"audit",
			"codec",
			"codec/pyro",
			"host/admit",
			"host/builtin",
			"host/credential",
			"host/dispatch",
			"host/fault",
			"host/route",
			"host/snapshot",
			"host/trace",
			"host/usage",
			"internal/backoff",
			"internal/cgroup",
			"internal/inflight",
			"internal/nonblock",
			"internal/otlp",
			"internal/procstat",
			"internal/redact",
			"internal/safefile",
			"internal/safewalk",
			"internal/secretfile",
			"internal/shell",
			"internal/upgrade",
			"internal/watch",
			"object",
			"plugins",
			"plugins/binary",
			"policy",
			"sandbox/confine",
			"sandbox/link",
			"sandbox/supervise",
			"transport",
			"transport/ca",
			"transport/enroll",
			"transport/keyfile",
			"transport/signed",
			"wire",
		},
	},
	{
		pkg: "host/admit",
		why: "it decides when a call may begin, and knows nothing of how calls run",
		may: []string{
			"internal/cgroup",
			"internal/inflight",
			"object",
			"policy",
			"transport",
		},
	},
	{
		pkg: "host/usage",
		why: "it counts and reports, and knows nothing of how calls run",
		may: []string{
			"internal/procstat",
			"object",
		},
	},
	{
		pkg: "host/trace",
		why: "it makes spans of calls, and knows nothing of how they run",
		may: []string{
			"host/usage",
			"internal/otlp",
			"object",
			"policy",
		},
	},
	{
		pkg: "cmd/hearth",
		why: "a command starts things and does nothing itself",
		may: []string{
			"audit",
			"audit/trail",
			"client",
			"codec",
			"codec/pyro",
			"host",
			"host/credential",
			"host/usage",
			"internal/bytesize",
			"internal/cgroup",
			"internal/journal",
			"internal/safefile",
			"internal/secretfile",
			"internal/shell",
			"internal/systemd",
			"internal/upgrade",
			"object",
			"plugins/launch",
			"policy",
			"policy/analysis",
			"policy/policyfile",
			"sandbox/api",
			"sandbox/confine",
			"sandbox/supervise",
			"sandbox/worker",
			"transport",
			"transport/ca",
			"transport/enroll",
			"transport/keyfile",
			"transport/signed",
			"wire",
		},
	},
	{
		pkg: "internal/inflight",
		why: "it counts bytes and knows not whose",
		may: []string{
			"internal/bytesize",
		},
	},
	{
		pkg: "internal/procstat",
		why: "it asks the kernel about processes and knows nothing",
	},
	{
		pkg: "internal/cgroup",
		why: "it reads limits of the system and knows nothing",
	},
	{
		pkg: "internal/safefile",
		why: "it reads and writes files and knows nothing",
		may: []string{
			"internal/flock",
			"internal/shell",
		},
	},
	{
		pkg: "internal/redact",
		why: "it looks for texts in texts and knows nothing",
	},
	{
		pkg: "internal/secretfile",
		why: "it reads and writes files with secrets, and knows not whose",
		may: []string{
			"internal/redact",
			"internal/safefile",
		},
	},
	{
		pkg: "internal/bytesize",
		why: "it formats numbers and imports no other package",
	},
	{
		pkg: "internal/upgrade",
		why: "it passes sockets and files between two processes, for any server",
		may: []string{
			"internal/flock",
			"internal/safefile",
			"internal/socketpair",
			"internal/systemd",
			"transport",
		},
	},
	{
		pkg: "internal/journal",
		why: "it formats log records and imports no other package",
	},
	{
		pkg: "internal/flock",
		why: "it locks files and imports no other package",
	},
	{
		pkg: "internal/backoff",
		why: "it counts crashes and knows not whose",
	},
	{
		pkg: "internal/safewalk",
		why: "it walks folders and knows nothing",
	},
	{
		pkg: "internal/watch",
		why: "it tells of changes in folders and knows nothing",
		may: []string{
			"internal/safewalk",
		},
	},
	{
		pkg: "internal/shell",
		why: "it quotes words and knows nothing",
	},
	{
		pkg: "internal/socketpair",
		why: "it makes a pair of sockets and knows nothing",
	},
	{
		pkg: "internal/unsafestr",
		why: "it shares memory and knows nothing",
	},
	{
		pkg: "internal/nonblock",
		why: "it makes system calls and knows nothing",
	},
	{
		pkg: "internal/otlp",
		why: "it sends spans and knows nothing of what they are about",
	},
	{
		pkg: "internal/systemd",
		why: "it reads variables, writes lines, and knows nothing of hosts",
	},
	{
		pkg: "internal/luafuzz",
		why: "it generates programs and compares traces, of whatever engine its tests connect",
	},
	{
		pkg: "internal/prose",
		why: "a test that reads source text",
	},
	{
		pkg: "internal/deps",
		why: "it only draws the graph",
	},
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
	{module: "github.com/hashicorp/hcl/v2", at: []string{"policy/condition", "policy/policyfile", "policy/problem", "policy/syntax"}, why: "only the packages that read policy.hcl read HCL"},
	{module: "github.com/zclconf/go-cty", at: []string{"policy/condition", "policy/syntax"}, why: "HCL's values stay where HCL is"},
	{module: "github.com/fsnotify/fsnotify", at: []string{"internal/watch"}, why: "only internal/watch asks for file events"},
	{module: "github.com/spf13/cobra", at: []string{"cmd/hearth"}, why: "flags are parsed in cmd only"},
	{module: "github.com/spf13/pflag", at: []string{"cmd/hearth"}, why: "flags are parsed in cmd only"},
	{module: "filippo.io/age", at: []string{"internal/secretfile"}, test: true, why: "one folder encrypts and decrypts secrets"},
	{module: "golang.org/x/sys", at: []string{"transport", "sandbox/confine", "sandbox/confine/controlgroup",
		"sandbox/confine/rootfs", "sandbox/confine/seccomp", "plugins/binary", "plugins/launch", "host", "cmd/hearth", "internal/upgrade"},
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
