package deps_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hearthhost/hearth"

// pkg is one package in the output of `go list -json`.
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

// packages returns every package of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-pgo=off", "-e",
		"-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
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
		t.Fatalf("go list returned only %d packages of %s", len(all), module)
	}
	return all
}

// edge has the packages of this module that a package may import, and the reason for the limit.
type edge struct {
	pkg string
	may []string
	why string
}

// edges is the import graph. A package or an import that is missing here fails the test. Tests may import any package:
// they often use an interface together with a neighbour.
var edges = []edge{
	{
		pkg: "object",
		why: "it has the shared types; every package imports it, so it imports only the types of signatures",
		may: []string{"signature"},
	},
	{
		pkg: "transport",
		why: "a stage of a call imports the shared types, not another stage",
		may: []string{
			"internal/cgroup",
			"internal/nonblock",
			"internal/safefile",
			"object",
			"transport/channel",
			"transport/peer",
			"transport/signed",
		},
	},
	{
		pkg: "transport/peer",
		why: "the kernel identifies a peer by its socket, without keys",
		may: []string{
			"object",
		},
	},
	{
		pkg: "transport/keyfile",
		why: "a file format needs files only",
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
		why: "an authority needs certificates and files only",
		may: []string{
			"internal/safefile",
		},
	},
	{
		pkg: "transport/signed",
		why: "the channel of host and clients needs sockets only",
	},
	{
		pkg: "wire",
		why: "a stage of a call imports the shared types, not another stage",
		may: []string{
			"internal/largebuf",
			"object",
		},
	},
	{
		pkg: "codec",
		why: "a stage of a call imports the shared types, not another stage",
		may: []string{
			"internal/unsafestr",
			"object",
		},
	},
	{
		pkg: "codec/pyro",
		why: "formats, layouts of calls, names and exceptions of the Pyro generations",
		may: []string{
			"codec",
			"internal/unsafestr",
			"object",
			"wire",
		},
	},
	{
		pkg: "codec/web",
		why: "format and layout of the calls of HTTP clients, whose classes are those of Pyro",
		may: []string{
			"codec",
			"codec/pyro",
			"object",
			"wire",
		},
	},
	{
		pkg: "audit",
		why: "a stage of a call imports the shared types, not another stage",
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
		why: "a stage of a call imports the shared types, not another stage",
		may: []string{
			"internal/bytesize",
			"object",
			"policy/condition",
			"policy/problem",
			"service/egress/rule",
		},
	},
	{
		pkg: "policy/policyfile/egress",
		why: "it reads one kind of block; the reader of files does the rest",
		may: []string{
			"object",
			"policy",
			"policy/problem",
			"policy/syntax",
			"service/egress/address",
			"service/egress/rule",
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
			"object",
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
			"policy/policyfile/account",
			"policy/policyfile/egress",
			"policy/policyfile/endpoint",
			"policy/policyfile/limits",
			"policy/policyfile/plugin",
			"policy/problem",
			"policy/syntax",
		},
	},
	{
		pkg: "policy/policyfile/plugin",
		why: "it reads one kind of block; the reader of files does the rest",
		may: []string{
			"internal/bytesize",
			"object",
			"policy",
			"policy/problem",
			"policy/syntax",
		},
	},
	{
		pkg: "policy/policyfile/endpoint",
		why: "it reads blocks with addresses; the reader of files does the rest",
		may: []string{
			"object",
			"policy",
			"policy/problem",
			"policy/syntax",
		},
	},
	{
		pkg: "policy/policyfile/account",
		why: "it reads accounts of the system",
	},
	{
		pkg: "policy/analysis",
		why: "it explains and compares policies; nothing that serves calls needs it",
		may: []string{
			"internal/bytesize",
			"object",
			"policy",
			"policy/problem",
			"service/egress/rule",
		},
	},
	{
		pkg: "sandbox",
		why: "a stage of a call imports the shared types, not another stage",
		may: []string{
			"object",
			"sandbox/arguments",
			"sandbox/budget",
			"sandbox/convert",
			"sandbox/definition",
			"sandbox/durable",
			"sandbox/exception",
			"sandbox/heapsnap",
			"sandbox/lua",
			"sandbox/lua/stdlib",
			"sandbox/modules",
			"sandbox/proxy",
			"sandbox/services",
			"sandbox/values",
			"service/store",
			"service/store/memory",
		},
	},
	{
		pkg: "sandbox/exception",
		why: "it reads the values of a VM and imports nothing else of the engine",
		may: []string{
			"object",
			"sandbox/convert",
			"sandbox/lua",
			"sandbox/services",
			"sandbox/values",
		},
	},
	{
		pkg: "service/store",
		why: "it declares the state of objects; the engines are separate, so that a worker links none with SQL",
		may: []string{
			"object",
		},
	},
	{
		pkg: "service/store/value",
		why: "the worker encodes values, and the host checks them",
		may: []string{
			"object",
		},
	},
	{
		pkg: "service/store/dump",
		why: "it reads and writes lines, and stores nothing",
		may: []string{
			"object",
			"service/store",
			"service/store/value",
		},
	},
	{
		pkg: "service/store/message",
		why: "both ends of the link encode operations",
		may: []string{
			"sandbox/link",
			"service/store",
		},
	},
	{
		pkg: "service/storecall",
		why: "a service of the host handles the ops of workers, and does not depend on an engine",
		may: []string{
			"object",
			"sandbox/hostcall",
			"sandbox/link",
			"service/store",
			"service/store/message",
			"service/store/value",
		},
	},
	{
		pkg: "sandbox/durable",
		why: "it uses the store through an interface and imports nothing else of the engine",
		may: []string{
			"object",
			"sandbox/budget",
			"sandbox/convert",
			"sandbox/lua",
			"sandbox/services",
			"sandbox/values",
			"service/store",
			"service/store/value",
		},
	},
	{
		pkg: "service/store/memory",
		why: "an engine needs the declarations only",
		may: []string{
			"object",
			"service/store",
		},
	},
	{
		pkg: "service/store/sqlite",
		why: "an engine needs the declarations and files",
		may: []string{
			"internal/safefile",
			"object",
			"service/store",
			"service/store/sqlite/apply",
		},
	},
	{
		pkg: "service/store/sqlite/apply",
		why: "it applies batches and opens no files",
		may: []string{
			"object",
			"service/store",
		},
	},
	{
		pkg: "service/egress/rule",
		why: "the policy and the client decide by the same rules, which open nothing",
		may: []string{"object"},
	},
	{
		pkg: "service/egress/address",
		why: "it decides about addresses and opens nothing",
	},
	{
		pkg: "service/egress/sign",
		why: "it computes signatures and opens nothing",
	},
	{
		pkg: "service/egress",
		why: "it sends requests by rules, and does not depend on the host that runs it",
		may: []string{
			"internal/redact",
			"internal/safefile",
			"internal/unsafestr",
			"object",
			"service/egress/address",
			"service/egress/rule",
			"service/egress/sign",
		},
	},
	{
		pkg: "sandbox/services",
		why: "it declares interfaces, and has no implementation",
		may: []string{
			"object",
			"sandbox/values",
			"service/store",
		},
	},
	{
		pkg: "sandbox/proxy",
		why: "it calls other objects through an interface and imports nothing else of the engine",
		may: []string{
			"object",
			"sandbox/budget",
			"sandbox/convert",
			"sandbox/lua",
			"sandbox/services",
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
		pkg: "sandbox/arguments",
		why: "it reads the values of a VM and signatures, and imports nothing else of the engine",
		may: []string{
			"sandbox/lua",
			"sandbox/values",
			"signature",
		},
	},
	{
		pkg: "sandbox/definition",
		why: "it reads the values of a VM and imports nothing else of the engine",
		may: []string{
			"object",
			"sandbox/lua",
			"sandbox/values",
			"signature",
		},
	},
	{
		pkg: "signature/schema",
		why: "it converts signatures and imports nothing else",
		may: []string{"signature"},
	},
	{
		pkg: "signature",
		why: "it reads comments and imports nothing",
	},
	{
		pkg: "sandbox/lua",
		why: "the VM runs Lua and does not depend on the host's types",
		may: []string{
			"sandbox/lua/arith",
			"sandbox/lua/code",
			"sandbox/lua/syntax",
		},
	},
	{
		pkg: "sandbox/lua/code",
		why: "a compiler needs its source and its target only",
		may: []string{
			"sandbox/lua/syntax",
		},
	},
	{
		pkg: "sandbox/lua/stdlib",
		why: "the libraries need the VM and do not depend on the host's types",
		may: []string{
			"sandbox/lua",
			"sandbox/lua/arith",
		},
	},
	{
		pkg: "sandbox/lua/syntax",
		why: "a parser folds constants and needs nothing else",
		may: []string{
			"sandbox/lua/arith",
		},
	},
	{
		pkg: "sandbox/lua/arith",
		why: "arithmetic needs no other package",
	},
	{
		pkg: "sandbox/link",
		why: "the frames between host and worker are part of a stage",
		may: []string{
			"internal/largebuf",
			"internal/nonblock",
			"internal/spin",
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
		why: "isolation layers do not depend on the confined program",
		may: []string{
			"internal/memfile",
			"sandbox/confine/capability",
			"sandbox/confine/controlgroup",
			"sandbox/confine/executable",
			"sandbox/confine/fileaccess",
			"sandbox/confine/layer",
			"sandbox/confine/namespace",
			"sandbox/confine/rootfs",
			"sandbox/confine/seccomp",
		},
	},
	{
		pkg: "sandbox/confine/layer",
		why: "it has the names and states of layers and imports nothing of confine",
	},
	{
		pkg: "sandbox/confine/namespace",
		why: "it clones processes; the rights of the host decide how",
		may: []string{
			"sandbox/confine/capability",
		},
	},
	{
		pkg: "sandbox/confine/fileaccess",
		why: "it makes a Landlock domain and imports nothing of confine",
	},
	{
		pkg: "sandbox/confine/executable",
		why: "it prepares a file and imports nothing of confine",
	},
	{
		pkg: "sandbox/confine/capability",
		why: "it changes credentials of threads and imports nothing of confine",
	},
	{
		pkg: "sandbox/hostcall",
		why: "it passes ops of workers to services; it decodes no payload and has no process",
		may: []string{
			"object",
			"sandbox/link",
		},
	},
	{
		pkg: "service/objectcall",
		why: "a service implements the interface of host calls and does not need the process of the worker",
		may: []string{
			"object",
			"sandbox/hostcall",
			"sandbox/link",
		},
	},
	{
		pkg: "sandbox/script",
		why: "it has the versions of objects; packages that read or store them need no process",
		may: []string{
			"object",
			"sandbox/link",
		},
	},
	{
		pkg: "sandbox/scriptlog",
		why: "it logs the reports of a worker, whose frames another package reads",
		may: []string{
			"internal/procstat",
			"object",
			"sandbox/link",
		},
	},
	{
		pkg: "sandbox/process",
		why: "it runs in the host's process, where no Lua and no codec of arguments may be",
		may: []string{
			"internal/loop",
			"internal/nonblock",
			"internal/procstat",
			"internal/schedstat",
			"internal/spin",
			"internal/tick",
			"object",
			"sandbox/confine",
			"sandbox/hostcall",
			"sandbox/launch",
			"sandbox/link",
			"sandbox/script",
			"sandbox/scriptlog",
		},
	},
	{
		pkg: "sandbox/supervise",
		why: "it starts and replaces processes of a tenant; their frames are those of another package",
		may: []string{
			"internal/backoff",
			"internal/redact",
			"internal/schedstat",
			"internal/tick",
			"object",
			"sandbox/link",
			"sandbox/process",
			"sandbox/script",
		},
	},
	{
		pkg: "sandbox/worker",
		why: "the worker process joins codec and engine, and no more than it needs may run there",
		may: []string{
			"codec",
			"codec/pyro",
			"internal/nonblock",
			"internal/socketpair",
			"object",
			"sandbox",
			"sandbox/confine",
			"sandbox/link",
			"sandbox/worker/job",
			"sandbox/worker/leader",
			"sandbox/worker/memory",
			"sandbox/worker/pool",
			"sandbox/worker/services",
		},
	},
	{
		pkg: "sandbox/worker/pool",
		why: "it has objects and instances; of the link it needs the bounds of frames",
		may: []string{
			"codec",
			"object",
			"sandbox",
			"sandbox/link",
			"sandbox/worker/job",
			"sandbox/worker/leader",
			"sandbox/worker/memory",
			"sandbox/worker/services",
		},
	},
	{
		pkg: "sandbox/worker/job",
		why: "it joins arguments, a call of the engine and the reply, and has no objects and no instances",
		may: []string{
			"codec",
			"codec/pyro",
			"codec/web",
			"object",
			"sandbox",
			"sandbox/link",
			"sandbox/worker/bounded",
			"sandbox/worker/request",
			"sandbox/worker/services",
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
			"service/store",
			"signature",
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
			"sandbox/confine/layer",
		},
	},
	{
		pkg: "plugins/rpc",
		why: "the protocol of plugins is generated code",
	},
	{
		pkg: "plugins/sdk",
		why: "it runs in the plugin's process and has no part of the host in it",
		may: []string{
			"codec",
			"codec/pyro",
			"codec/web",
			"object",
			"plugins/rpc",
			"service/store",
			"service/store/value",
			"signature",
		},
	},
	{
		pkg: "plugins/sdk/plugintest",
		why: "it joins a plugin and its host side, for tests",
		may: []string{
			"codec",
			"codec/pyro",
			"codec/web",
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
			"codec/web",
			"internal/nonblock",
			"internal/safefile",
			"internal/unsafestr",
			"object",
			"transport/keyfile",
			"transport/signed",
			"wire",
		},
	},
	{
		pkg: "host/fault",
		why: "reports about files need the policy to select their readers",
		may: []string{
			"object",
			"policy",
		},
	},
	{
		pkg: "host/issuer",
		why: "it verifies tokens and decides nothing about them",
		may: []string{
			"object",
		},
	},
	{
		pkg: "host/credential",
		why: "it reads keys, certificates and secrets, and does not serve calls",
		may: []string{
			"host/fault",
			"host/issuer",
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
			"internal/otlp",
			"internal/tick",
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
			"codec/web",
			"host/credential",
			"host/dispatch",
			"host/fault",
			"host/route",
			"host/snapshot",
			"object",
			"policy",
			"signature",
			"transport/ca",
			"transport/enroll",
			"transport/keyfile",
			"wire",
		},
	},
	{
		pkg: "gateway/pyro",
		why: "a gateway turns messages into requests of the dispatcher; it calls no backend",
		may: []string{
			"codec",
			"codec/pyro",
			"gateway/pyro/handshake",
			"gateway/pyro/socket",
			"host/admit",
			"host/dispatch",
			"host/snapshot",
			"host/usage",
			"internal/hangup",
			"internal/largebuf",
			"internal/loop",
			"internal/peerlog",
			"object",
			"policy",
			"transport",
			"wire",
		},
	},
	{
		pkg: "host/hosttest",
		why: "a host in the process of a test",
		may: []string{
			"host",
			"policy",
			"policy/policyfile",
		},
	},
	{
		pkg: "gateway/mcp",
		why: "it translates between tools and members; a gateway gives it the host as one caller sees it",
		may: []string{
			"codec",
			"codec/web",
			"object",
			"signature/schema",
		},
	},
	{
		pkg: "gateway/mcp/bridge",
		why: "a client of any server of the protocol",
		may: []string{},
	},
	{
		pkg: "gateway/web/openapi",
		why: "a function of descriptions",
		may: []string{
			"object",
			"signature/schema",
		},
	},
	{
		pkg: "gateway/web/page",
		why: "a function of descriptions",
		may: []string{
			"object",
			"signature",
		},
	},
	{
		pkg: "gateway/webhook",
		why: "it verifies requests and makes arguments; package web reads the requests and makes the calls",
		may: []string{
			"codec",
			"codec/web",
			"policy",
		},
	},
	{
		pkg: "gateway/web",
		why: "a gateway turns requests into requests of the dispatcher; it calls no backend and decodes no arguments" +
			". The paths of Pyro's gateway have texts as arguments, which it writes in Pyro's format",
		may: []string{
			"audit",
			"codec",
			"codec/pyro",
			"codec/web",
			"gateway/mcp",
			"gateway/web/openapi",
			"gateway/web/page",
			"gateway/webhook",
			"host/admit",
			"host/dispatch",
			"host/snapshot",
			"host/usage",
			"internal/peerlog",
			"object",
			"policy",
			"transport",
			"wire",
		},
	},
	{
		pkg: "gateway/pyro/handshake",
		why: "it identifies a peer and makes no requests",
		may: []string{
			"audit",
			"codec",
			"codec/pyro",
			"gateway/pyro/socket",
			"host/admit",
			"host/credential",
			"host/dispatch",
			"host/snapshot",
			"internal/nonblock",
			"object",
			"policy",
			"transport",
			"wire",
		},
	},
	{
		pkg: "gateway/pyro/socket",
		why: "it transmits messages and does not interpret them",
		may: []string{
			"internal/hangup",
			"internal/loop",
			"internal/nonblock",
			"internal/socketpair",
			"transport",
			"transport/channel",
			"wire",
		},
	},
	{
		pkg: "host/catalog",
		why: "it reads folders and does not run scripts",
		may: []string{
			"host/fault",
			"internal/safefile",
			"internal/safewalk",
			"internal/watch",
			"object",
			"plugins/binary",
			"policy",
			"sandbox/script",
		},
	},
	{
		pkg: "host/history",
		why: "it stores versions and does not run them",
		may: []string{
			"host/catalog",
			"internal/safefile",
			"object",
			"sandbox/script",
		},
	},
	{
		pkg: "policy/policytest",
		why: "it joins a reader of policies and tests",
		may: []string{
			"object",
			"policy",
			"policy/policyfile",
		},
	},
	{
		pkg: "policy/policyfile/limits",
		why: "it reads one kind of block; the reader of files does the rest",
		may: []string{
			"internal/bytesize",
			"object",
			"policy",
			"policy/problem",
			"policy/syntax",
		},
	},
	{
		pkg: "sandbox/worker/bounded",
		why: "it bounds the output of a serializer and has no jobs",
		may: []string{
			"codec",
			"object",
		},
	},
	{
		pkg: "sandbox/worker/services",
		why: "it connects running objects with the host and has no instance",
		may: []string{
			"codec",
			"codec/pyro",
			"internal/redact",
			"object",
			"sandbox",
			"sandbox/link",
			"sandbox/services",
			"sandbox/worker/bounded",
			"service/store",
			"service/store/message",
		},
	},
	{
		pkg: "sandbox/worker/memory",
		why: "it ends the largest instance and has no job and no frame",
		may: []string{
			"internal/bytesize",
			"internal/largebuf",
			"object",
			"sandbox",
		},
	},
	{
		pkg: "host/folder",
		why: "the checks of folders need the policy's paths only",
		may: []string{
			"host/fault",
			"internal/safefile",
			"internal/shell",
			"policy",
		},
	},
	{
		pkg: "host/advice",
		why: "warnings need the policy, its certificates and the limits of the machine",
		may: []string{
			"host/credential",
			"internal/cgroup",
			"object",
			"policy",
			"transport",
		},
	},
	{
		pkg: "host/backend",
		why: "it makes the processes of tenants, and decides nothing about calls",
		may: []string{
			"codec/pyro",
			"host/admit",
			"host/catalog",
			"host/credential",
			"host/dispatch",
			"host/route",
			"host/usage",
			"internal/backoff",
			"internal/loop",
			"internal/watch",
			"object",
			"plugins",
			"plugins/binary",
			"policy",
			"sandbox/confine",
			"sandbox/confine/layer",
			"sandbox/hostcall",
			"sandbox/launch",
			"sandbox/script",
			"sandbox/supervise",
			"service/objectcall",
		},
	},
	{
		pkg: "internal/schedstat",
		why: "reads files of the kernel",
	},
	{
		pkg: "internal/hangup",
		why: "reports ends of connections that no goroutine reads",
	},
	{
		pkg: "internal/clocktest",
		why: "tests of times need no other package",
	},
	{
		pkg: "internal/tick",
		why: "calls functions at intervals",
	},
	{
		pkg: "sandbox/worker/leader",
		why: "it runs the work of frames and has no calls",
		may: []string{
			"sandbox/link",
		},
	},
	{
		pkg: "host/observe",
		why: "it reads the counters of every part of the host",
		may: []string{
			"audit",
			"gateway/pyro",
			"gateway/web",
			"host/admit",
			"host/backend",
			"host/dispatch",
			"host/fault",
			"host/snapshot",
			"host/trace",
			"host/usage",
			"internal/procstat",
			"object",
		},
	},
	{
		pkg: "host/admin",
		why: "the admin socket needs the requests of its interface only",
		may: []string{
			"host/fault",
			"host/history",
			"host/observe",
			"host/stores",
			"host/usage",
			"object",
			"policy",
			"service/store",
			"service/store/dump",
			"transport",
			"transport/peer",
		},
	},
	{
		pkg: "host/stores",
		why: "requests of operators about durable state need the engine, and no running object",
		may: []string{
			"object",
			"service/store",
			"service/store/dump",
			"service/store/sqlite",
			"service/store/value",
		},
	},
	{
		pkg: "host/stage",
		why: "it loads versions in workers and stores the replaced ones",
		may: []string{
			"host/catalog",
			"host/history",
			"object",
			"sandbox/script",
		},
	},
	{
		pkg: "host/reload",
		why: "it applies changed files to every part of the host that depends on them",
		may: []string{
			"host/admit",
			"host/advice",
			"host/backend",
			"host/catalog",
			"host/credential",
			"host/dispatch",
			"host/fault",
			"host/folder",
			"host/history",
			"host/route",
			"host/snapshot",
			"host/stage",
			"host/usage",
			"internal/watch",
			"object",
			"plugins/binary",
			"policy",
			"sandbox/script",
		},
	},
	{
		pkg: "host/dryrun",
		why: "it reads the files of a start and loads scripts in workers that serve no calls",
		may: []string{
			"audit",
			"host/advice",
			"host/backend",
			"host/catalog",
			"host/credential",
			"host/dispatch",
			"host/fault",
			"host/folder",
			"object",
			"plugins/binary",
			"policy",
			"sandbox/confine/layer",
			"sandbox/hostcall",
			"sandbox/script",
			"sandbox/supervise",
			"service/objectcall",
		},
	},
	{
		pkg: "sandbox/worker/request",
		why: "it holds the state of a request and has no frame",
		may: []string{
			"object",
		},
	},
	{
		pkg: "transport/channel",
		why: "byte codecs of connections, for the event loop",
	},
	{
		pkg: "sandbox/workerfile",
		why: "it has the worker's program as a file, and imports the worker for its build id",
		may: []string{
			"internal/memfile",
			"sandbox/worker",
		},
	},
	{
		pkg: "sandbox/launch",
		why: "it starts processes and has no frames",
		may: []string{
			"internal/nonblock",
			"internal/schedstat",
			"internal/socketpair",
			"sandbox/confine",
			"sandbox/confine/layer",
		},
	},
	{
		pkg: "internal/spin",
		why: "it decides when polling pays",
		may: []string{
			"internal/nonblock",
		},
	},
	{
		pkg: "internal/loop",
		why: "it waits for sockets",
		may: []string{
			"internal/nonblock",
			"internal/spin",
		},
	},
	{
		pkg: "internal/peerlog",
		why: "it bounds lines by principal",
		may: []string{
			"object",
		},
	},
	{
		pkg: "internal/logqueue",
		why: "it writes log lines later",
	},
	{
		pkg: "host",
		why: "the host composes stages, but the Lua VM (sandbox itself) never runs in its process",
		may: []string{
			"audit",
			"gateway/pyro",
			"gateway/pyro/handshake",
			"gateway/web",
			"host/admin",
			"host/admit",
			"host/advice",
			"host/backend",
			"host/builtin",
			"host/credential",
			"host/dispatch",
			"host/fault",
			"host/folder",
			"host/history",
			"host/observe",
			"host/reload",
			"host/route",
			"host/stores",
			"host/trace",
			"host/usage",
			"internal/cgroup",
			"internal/logqueue",
			"internal/loop",
			"internal/peerlog",
			"internal/upgrade",
			"object",
			"policy",
			"sandbox/launch",
			"sandbox/supervise",
			"service/store",
			"service/store/sqlite",
			"service/storecall",
			"transport",
			"transport/enroll",
			"transport/signed",
			"wire",
		},
	},
	{
		pkg: "host/admit",
		why: "it decides when a call may begin and does not run calls",
		may: []string{
			"internal/cgroup",
			"internal/inflight",
			"object",
			"policy",
			"transport",
			"transport/peer",
		},
	},
	{
		pkg: "host/usage",
		why: "it counts and reports and does not run calls",
		may: []string{
			"internal/procstat",
			"internal/tick",
			"object",
		},
	},
	{
		pkg: "host/trace",
		why: "it makes spans of calls and does not run calls",
		may: []string{
			"host/usage",
			"internal/otlp",
			"object",
			"policy",
		},
	},
	{
		pkg: "internal/cli/display",
		why: "it formats values and imports nothing of Hearth",
	},
	{
		pkg: "internal/cli",
		why: "rules that all commands share; it depends on no command",
		may: []string{
			"internal/cli/display",
		},
	},
	{
		pkg: "internal/cli/policyflag",
		why: "it chooses and reads the policy of a command",
		may: []string{
			"host",
			"host/folder",
			"policy",
			"policy/policyfile",
		},
	},
	{
		pkg: "internal/cli/value",
		why: "it converts values and makes no call",
		may: []string{
			"codec",
			"codec/pyro",
			"internal/cli/display",
			"object",
		},
	},
	{
		pkg: "client/join",
		why: "a client exchanges a token for credentials",
		may: []string{
			"client",
			"internal/safefile",
			"object",
			"transport/ca",
			"transport/enroll",
			"transport/keyfile",
			"transport/signed",
		},
	},
	{
		pkg: "internal/cli/admin",
		why: "commands for the operator of a running host",
		may: []string{
			"host",
			"host/backend",
			"host/fault",
			"host/history",
			"host/observe",
			"host/usage",
			"internal/bytesize",
			"internal/cli",
			"internal/cli/display",
			"internal/cli/policyflag",
			"internal/cli/refusal",
		},
	},
	{
		pkg: "internal/cli/audit",
		why: "commands that read the audit log",
		may: []string{
			"audit/trail",
			"internal/cli",
			"internal/cli/display",
			"internal/cli/policyflag",
			"object",
			"policy",
		},
	},
	{
		pkg: "internal/cli/ca",
		why: "commands of a certificate authority",
		may: []string{
			"internal/cli",
			"internal/cli/display",
			"internal/safefile",
			"internal/shell",
			"transport/ca",
		},
	},
	{
		pkg: "internal/cli/enroll",
		why: "commands for enrolment tokens",
		may: []string{
			"client/join",
			"host",
			"host/credential",
			"internal/cli",
			"internal/cli/display",
			"internal/cli/policyflag",
			"internal/cli/remote",
			"internal/shell",
			"object",
			"transport/enroll",
		},
	},
	{
		pkg: "internal/cli/key",
		why: "commands for key files",
		may: []string{
			"internal/cli",
			"internal/cli/display",
			"internal/shell",
			"transport/keyfile",
		},
	},
	{
		pkg: "internal/cli/mcp",
		why: "the command for AI clients that start a program",
		may: []string{
			"gateway/mcp/bridge",
			"internal/cli",
			"internal/safefile",
		},
	},
	{
		pkg: "internal/cli/object",
		why: "commands that call objects",
		may: []string{
			"client",
			"codec/pyro",
			"gateway/web/openapi",
			"internal/cli",
			"internal/cli/admin",
			"internal/cli/display",
			"internal/cli/remote",
			"internal/cli/value",
			"internal/shell",
			"object",
			"sandbox/api",
			"signature",
		},
	},
	{
		pkg: "internal/cli/policy",
		why: "commands that examine policy files",
		may: []string{
			"host/advice",
			"host/catalog",
			"internal/cli",
			"internal/cli/display",
			"internal/cli/policyflag",
			"object",
			"policy",
			"policy/analysis",
		},
	},
	{
		pkg: "internal/cli/refusal",
		why: "it prints rejected files",
		may: []string{
			"host",
			"host/fault",
			"internal/cli/display",
		},
	},
	{
		pkg: "internal/cli/remote",
		why: "it connects a command to a host as a client",
		may: []string{
			"client",
			"internal/cli",
			"internal/cli/value",
			"internal/shell",
			"object",
			"transport",
			"transport/signed",
			"wire",
		},
	},
	{
		pkg: "internal/cli/secret",
		why: "commands for secrets of objects",
		may: []string{
			"internal/cli",
			"internal/cli/display",
			"internal/cli/policyflag",
			"internal/secretfile",
			"object",
			"policy",
		},
	},
	{
		pkg: "internal/backup",
		why: "it copies and compares files, and sends no request to a host",
		may: []string{
			"audit/trail",
			"internal/safefile",
			"internal/safewalk",
			"internal/shell",
			"internal/upgrade",
			"object",
			"service/store/sqlite",
		},
	},
	{
		pkg: "internal/cli/backup",
		why: "commands that back up and restore a host",
		may: []string{
			"host/credential",
			"host/stores",
			"internal/backup",
			"internal/cli",
			"internal/cli/admin",
			"internal/cli/display",
			"policy",
		},
	},
	{
		pkg: "internal/cli/store",
		why: "commands for the durable state of objects",
		may: []string{
			"host/stores",
			"internal/bytesize",
			"internal/cli",
			"internal/cli/admin",
			"internal/cli/display",
		},
	},
	{
		pkg: "internal/cli/doctor",
		why: "it starts probes and prints their results",
		may: []string{
			"host",
			"host/backend",
			"host/fault",
			"internal/cli",
			"internal/cli/display",
			"internal/cli/refusal",
			"object",
			"policy",
			"sandbox/confine",
			"sandbox/confine/layer",
		},
	},
	{
		pkg: "internal/cli/settings",
		why: "it lists settings as rows",
		may: []string{
			"internal/cli/display",
			"internal/cli/policyflag",
			"internal/process",
			"internal/systemd",
			"object",
			"policy",
		},
	},
	{
		pkg: "internal/daemon",
		why: "it runs a host as a process and parses no flag",
		may: []string{
			"host",
			"internal/cgroup",
			"internal/cli/display",
			"internal/safefile",
			"internal/shell",
			"internal/systemd",
			"internal/upgrade",
			"object",
			"policy",
		},
	},
	{
		pkg: "internal/process",
		why: "it prepares the process of a command",
		may: []string{
			"internal/systemd",
			"internal/upgrade",
		},
	},
	{
		pkg: "internal/scaffold",
		why: "it writes one script",
		may: []string{
			"object",
		},
	},
	{
		pkg: "cmd/hearth",
		why: "commands start other packages and contain no logic",
		may: []string{
			"host",
			"host/dryrun",
			"host/fault",
			"host/folder",
			"internal/cli",
			"internal/cli/admin",
			"internal/cli/audit",
			"internal/cli/backup",
			"internal/cli/ca",
			"internal/cli/display",
			"internal/cli/doctor",
			"internal/cli/enroll",
			"internal/cli/key",
			"internal/cli/mcp",
			"internal/cli/object",
			"internal/cli/policy",
			"internal/cli/policyflag",
			"internal/cli/refusal",
			"internal/cli/remote",
			"internal/cli/secret",
			"internal/cli/settings",
			"internal/cli/store",
			"internal/daemon",
			"internal/journal",
			"internal/process",
			"internal/scaffold",
			"internal/upgrade",
			"object",
			"plugins/launch",
			"policy",
			"policy/policyfile",
			"sandbox/worker",
			"sandbox/workerfile",
			"transport",
			"wire",
		},
	},
	{
		pkg: "cmd/hearth-worker",
		why: "it is a worker process and nothing else",
		may: []string{
			"sandbox/worker",
		},
	},
	{
		pkg: "internal/inflight",
		why: "it counts bytes of any owner",
		may: []string{
			"internal/bytesize",
		},
	},
	{
		pkg: "internal/largebuf",
		why: "it keeps memory",
	},
	{
		pkg: "internal/memfile",
		why: "it makes a file",
	},
	{
		pkg: "internal/procstat",
		why: "it reads the kernel's figures of processes",
	},
	{
		pkg: "internal/cgroup",
		why: "it reads limits of the system",
	},
	{
		pkg: "internal/safefile",
		why: "it reads and writes any files",
		may: []string{
			"internal/flock",
			"internal/shell",
		},
	},
	{
		pkg: "internal/redact",
		why: "it finds texts in any text",
	},
	{
		pkg: "internal/secretfile",
		why: "it reads and writes files with secrets of any owner",
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
		why: "it counts crashes of any process",
	},
	{
		pkg: "internal/safewalk",
		why: "it walks any folders",
	},
	{
		pkg: "internal/watch",
		why: "it reports changes in any folders",
		may: []string{
			"internal/safewalk",
		},
	},
	{
		pkg: "internal/shell",
		why: "it quotes any words",
	},
	{
		pkg: "internal/socketpair",
		why: "it makes a pair of sockets",
	},
	{
		pkg: "internal/unsafestr",
		why: "it shares memory of any text",
	},
	{
		pkg: "internal/nonblock",
		why: "it makes system calls on any socket",
	},
	{
		pkg: "internal/otlp",
		why: "it sends any spans",
	},
	{
		pkg: "internal/systemd",
		why: "it speaks systemd's protocol for any program",
	},
	{
		pkg: "internal/luafuzz",
		why: "it generates programs and compares traces of any engine",
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

// doors lists the modules of others and the packages that may import each of them: one package where possible, so that
// a module can be replaced in one place.
var doors = []struct {
	module string
	why    string
	at     []string
	test   bool // any package may import it in tests
}{
	{
		module: "github.com/yuin/gopher-lua",
		why:    "a benchmark compares our VM with it",
		test:   true,
	},
	{
		module: "modernc.org/sqlite",
		why:    "no other package may open a store or supply SQL",
		at:     []string{"service/store/sqlite"},
	},
	{
		module: "github.com/anishathalye/porcupine",
		why:    "histories of concurrent calls are linearizable",
		test:   true,
	},
	{
		module: "github.com/hashicorp/hcl/v2",
		why:    "only the packages that read policy.hcl read HCL",
		at: []string{
			"policy/condition",
			"policy/policyfile",
			"policy/policyfile/egress",
			"policy/policyfile/endpoint",
			"policy/policyfile/limits",
			"policy/policyfile/plugin",
			"policy/problem",
			"policy/syntax",
		},
	},
	{
		module: "github.com/zclconf/go-cty",
		why:    "values of HCL stay in the packages that read HCL",
		at: []string{
			"policy/policyfile",
			"policy/condition",
			"policy/syntax",
		},
	},
	{
		module: "github.com/fsnotify/fsnotify",
		why:    "only internal/watch receives file events",
		at: []string{
			"internal/watch",
		},
	},
	{
		module: "github.com/spf13/cobra",
		why:    "only commands parse flags",
		at: []string{
			"cmd/hearth",
			"internal/cli",
			"internal/cli/admin",
			"internal/cli/audit",
			"internal/cli/backup",
			"internal/cli/ca",
			"internal/cli/enroll",
			"internal/cli/key",
			"internal/cli/mcp",
			"internal/cli/object",
			"internal/cli/policy",
			"internal/cli/policyflag",
			"internal/cli/remote",
			"internal/cli/secret",
			"internal/cli/store",
		},
	},
	{
		module: "github.com/spf13/pflag",
		why:    "only commands parse flags",
		at: []string{
			"cmd/hearth",
		},
	},
	{
		module: "filippo.io/age",
		why:    "one folder encrypts and decrypts secrets",
		at: []string{
			"internal/secretfile",
		},
		test: true,
	},
	{
		module: "golang.org/x/sys",
		why:    "system calls belong to the edges: peers, processes, signals",
		at: []string{
			"internal/hangup",
			"internal/loop",
			"internal/memfile",
			"transport",
			"transport/peer",
			"sandbox/confine",
			"sandbox/confine/capability",
			"sandbox/confine/executable",
			"sandbox/confine/fileaccess",
			"sandbox/confine/controlgroup",
			"sandbox/confine/namespace",
			"sandbox/confine/rootfs",
			"sandbox/confine/seccomp",
			"sandbox/process",
			"sandbox/workerfile",
			"cmd/hearth-worker",
			"plugins/binary",
			"plugins/launch",
			"host",
			"host/folder",
			"internal/cli/secret",
			"internal/process",
			"internal/upgrade",
		},
		test: true,
	},
	{
		module: "github.com/landlock-lsm/go-landlock",
		why:    "only confine sets up isolation layers",
		at: []string{
			"sandbox/confine/fileaccess",
		},
	},
	{
		module: "kernel.org/pub/linux/libs/security/libcap/psx",
		why:    "only confine changes threads under the runtime",
		at: []string{
			"sandbox/confine/capability",
		},
	},
	{
		module: "github.com/modelcontextprotocol/go-sdk",
		why:    "only gateway/mcp speaks the protocol for AI agents; tests have its client",
		at: []string{
			"gateway/mcp",
			"gateway/mcp/bridge",
			"gateway/web",
		},
	},
	{
		module: "golang.org/x/net",
		why:    "tests read the page of a listener as browsers do, and write frames of HTTP/2",
		at: []string{
			"gateway/web",
		},
		test: true,
	},
	{
		module: "github.com/coreos/go-oidc/v3",
		why:    "only host/issuer verifies tokens",
		at: []string{
			"host/issuer",
		},
	},
	{
		module: "github.com/go-jose/go-jose/v4",
		why:    "only host/issuer reads keys of issuers",
		at: []string{
			"host/issuer",
		},
	},
	{
		module: "github.com/hashicorp/go-plugin",
		why:    "only plugins runs programs of tenants",
		at: []string{
			"plugins",
			"plugins/sdk",
			"plugins/sdk/plugintest",
		},
	},
	{
		module: "github.com/hashicorp/go-hclog",
		why:    "go-plugin requires one of its loggers, which discards all lines",
		at: []string{
			"plugins",
			"plugins/sdk",
			"plugins/sdk/plugintest",
		},
		test: true,
	},
	{
		module: "google.golang.org/grpc",
		why:    "the protocol of plugins, and of nothing else",
		at: []string{
			"plugins",
			"plugins/rpc",
			"plugins/sdk",
			"plugins/sdk/plugintest",
		},
		test: true,
	},
	{
		module: "google.golang.org/protobuf",
		why:    "the generated messages of plugins",
		at: []string{
			"plugins/rpc",
		},
	},
	{
		module: "github.com/google/go-cmp",
		why:    "for tests",
		test:   true,
	},
	{
		module: "pgregory.net/rapid",
		why:    "for tests",
		test:   true,
	},
	{
		module: "go.uber.org/goleak",
		why:    "for tests",
		test:   true,
	},
	{
		module: "github.com/rogpeppe/go-internal",
		why:    "for tests",
		test:   true,
	},
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

// TestObjectImportsTheStandardLibraryOnly checks the packages that every other one imports: object, and the types of
// signatures that it has.
func TestObjectImportsTheStandardLibraryOnly(t *testing.T) {
	found := 0
	for _, p := range packages(t) {
		if p.name() != "object" && p.name() != "signature" {
			continue
		}
		found++
		for _, imp := range p.Imports {
			if !standard(imp) && (p.name() != "object" || short(imp) != "signature") {
				t.Errorf("%s imports %s, and every package with it", p.name(), imp)
			}
		}
	}
	if found != 2 {
		t.Errorf("%d of the packages object and signature exist", found)
	}
}

// workerStore has the packages of the store that a worker process links: declarations, encodings, and the engine for
// tests of scripts.
var workerStore = []string{
	"service/store",
	"service/store/memory",
	"service/store/message",
	"service/store/value",
}

// TestWorkerImports checks all packages of a worker process, direct and indirect: a program that only runs scripts
// links no policy, no plugins, nothing of the host, and no module except those that confine it.
func TestWorkerImports(t *testing.T) {
	imports := map[string][]string{}
	for _, p := range packages(t) {
		imports[p.ImportPath] = p.Imports
	}
	seen := map[string]bool{}
	var walk func(path string)
	walk = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		for _, imp := range imports[path] {
			walk(imp)
		}
	}
	walk(module + "/cmd/hearth-worker")
	for path := range seen {
		dir, _, _ := strings.Cut(short(path), "/")
		switch {
		case path == module+"/cmd/hearth-worker":
		case own(path) && slices.Contains([]string{"codec", "internal", "object", "sandbox", "signature", "wire"}, dir):
		case own(path) && slices.Contains(workerStore, short(path)):
		case standard(path), strings.HasPrefix(path, "golang.org/x/sys/"):
		case strings.HasPrefix(path, "github.com/landlock-lsm/"), strings.HasPrefix(path, "kernel.org/pub/linux/libs/"):
		default:
			t.Errorf("a worker imports %s: it runs in the confined process, and its binary is small", path)
		}
	}
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
					t.Errorf("%s imports %s, a module without an entry: see doc/dependencies.md", p.name(), imp)
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
		"math/rand":    "crypto/rand for secrets, math/rand/v2 for the rest",
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

// TestLibcOfSQLite compares the version of modernc.org/libc with that in the go.mod of modernc.org/sqlite: the code of
// SQLite is translated for this version and no other.
func TestLibcOfSQLite(t *testing.T) {
	goMod := list(t, "-m", "-f", "{{.GoMod}}", "modernc.org/sqlite")
	b, err := os.ReadFile(goMod)
	if err != nil {
		t.Fatal(err)
	}
	const libc = "modernc.org/libc"
	if got := list(t, "-m", libc); !strings.Contains(string(b), got+"\n") {
		t.Errorf("go.mod has %s, which is not in %s: run go get %s at the version there", got, goMod, libc)
	}
}

// list returns the output of go list.
func list(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

func own(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

// standard reports whether path is of the standard library: those have no dot in the
// first element.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}
