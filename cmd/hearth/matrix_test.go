package main_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// matrixPolicy has two users of the machine, two keys and two certificates, and rules of
// every kind that overlap.
const matrixPolicy = `
listener "local" {
  address  = "127.0.0.1:0"
  identify = ["peer", "hmac"]
}
listener "tls" {
  address  = "127.0.0.1:0"
  identify = ["cert"]
  plain    = false
  tls {
    cert      = "host.pem"
    key       = "host.key"
    client_ca = "ca.pem"
  }
}
principal "ursula" {
  uid    = %d
  tenant = "red"
}
principal "uwe"  { uid = 4202 }
principal "hana" { keys = ["hana.txt"] }
principal "hugo" {
  keys   = ["hugo.txt"]
  tenant = "blue"
}
principal "cora" {
  cert { common_name = "cora" }
}
principal "carl" {
  cert { dns = "carl.example" }
}
group "women" { members = ["ursula", "hana", "cora"] }
group "all"   { members = ["women", "uwe", "hugo", "carl"] }

tenant "red" {}
tenant "blue" {}
tenant "shared" {}

permit "red is ursula's" {
  principals = ["ursula"]
  objects    = ["red.*"]
}
permit "blue is hugo's" {
  principals = ["hugo"]
  objects    = ["blue.*"]
}
permit "all read what is shared" {
  principals      = ["all"]
  objects         = ["shared.*"]
  methods         = ["get"]
  crosses_tenants = true
}
permit "women write it" {
  principals      = ["women"]
  objects         = ["shared.a"]
  crosses_tenants = true
}
permit "every b, inside TLS" {
  principals = ["cora", "carl", "hana"]
  objects    = ["*.b"]
  methods    = ["get", "put"]
  when       = caller.channel == "tls"
}
permit "uwe by his user id" {
  principals = ["uwe", "hana"]
  objects    = ["red.a"]
  when       = caller.auth == "peer" && caller.uid == 4202 && in_network(caller.address, "127.0.0.0/8")
}
permit "a public method" {
  principals = ["anonymous"]
  objects    = ["shared.b"]
  methods    = ["get"]
}
forbid "nobody drops what is shared" {
  principals = ["all"]
  objects    = ["shared.*"]
  methods    = ["drop"]
}
forbid "cora stays out of blue" {
  principals = ["cora"]
  objects    = ["blue.*"]
}
`

const matrixScript = `
local M = hearth.object { instance = "call" }
function M.expose:get() return "get" end
function M.expose:put() return "put" end
function M.expose:drop() return "drop" end
return M
`

// matrixRow is a client with its credentials.
type matrixRow struct {
	who, way string
	channel  string
	uid      int // 0: ours
	env      []string
}

// matrixAnswer is the output of testdata/pyro/matrix.py.
type matrixAnswer struct {
	May        map[string]bool
	Shows      map[string][]string
	Registered []string
}

// TestMatrix makes every possible call with real Pyro4 clients of two users, two keys and two certificates, and with an
// unknown client: replies, metadata and listings match the table of the policy.
func TestMatrix(t *testing.T) {
	needPyro4(t)
	me := os.Getuid()
	h := startHostWith(t, fmt.Sprintf(matrixPolicy, me), func(dir string) {
		ca := newAuthority(t, dir, "ca")
		ca.issue("host", forServer)
		ca.issue("cora", nil)
		ca.issue("carl", func(c *x509.Certificate) { c.DNSNames = []string{"carl.example"} })
		for _, name := range []string{"hana", "hugo"} {
			writeKeys(t, filepath.Join(dir, name+".txt"), name+"-1")
		}
		for _, tenant := range []string{"red", "blue", "shared"} {
			check(t, os.MkdirAll(filepath.Join(dir, "scripts", tenant), 0o755))
			for _, name := range []string{"a", "b"} {
				check(t, os.WriteFile(filepath.Join(dir, "scripts", tenant, name+".lua"), []byte(matrixScript), 0o644))
			}
		}
	})
	local, tls := h.ports[0], h.ports[1]
	clients, err := filepath.Abs("../../clients/python")
	check(t, err)
	key := func(who string) matrixRow {
		return matrixRow{who: who, way: "hmac", channel: "hmac",
			env: []string{"HEARTH_KEY=" + filepath.Join(h.dir, who+".txt"), "HEARTH_CLIENT=" + clients}}
	}
	cert := func(who string) matrixRow {
		return matrixRow{who: who, way: "cert", channel: "tls",
			env: []string{"HEARTH_CA=" + filepath.Join(h.dir, "ca.pem"),
				"HEARTH_CERT=" + filepath.Join(h.dir, who+".pem"), "HEARTH_KEY=" + filepath.Join(h.dir, who+".key")}}
	}
	rows := []matrixRow{key("hana"), key("hugo"), cert("cora"), cert("carl"),
		{who: "ursula", way: "peer", channel: "tcp"}}
	if me == 0 && runtime.GOOS == "linux" {
		rows = append(rows, matrixRow{who: "uwe", way: "peer", channel: "tcp", uid: 4202},
			matrixRow{who: "anonymous", way: "peer", channel: "tcp", uid: 4203})
	} else {
		t.Log("SKIPPED in part: only root on Linux can run clients as other users")
	}
	p, err := policyfile.Load(filepath.Join(h.dir, "policy.hcl"), me)
	check(t, err)
	for _, row := range rows {
		t.Run(row.who, func(t *testing.T) {
			want := matrixTable(t, p, row, me)
			at := local
			if row.way == "cert" {
				at = tls
			}
			cmd := pyro(t, h, "matrix.py")
			cmd.Env = append(cmd.Env, append(row.env, "HEARTH_WAY="+row.way, "HEARTH_AT="+at,
				"HEARTH_CALLS="+strings.Join(matrixCalls(), ","))...)
			if row.uid != 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(row.uid),
					Gid: uint32(row.uid)}}
			}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("testdata/pyro/matrix.py: %v\n%s", err, &stderr)
			}
			var got matrixAnswer
			check(t, json.Unmarshal(out, &got))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-the policy's table +the host's replies:\n%s", diff)
			}
		})
	}
}

var matrixMethods = []string{"drop", "get", "put"}

func matrixObjects() (out []string) {
	for _, tenant := range []string{"blue", "red", "shared"} {
		out = append(out, tenant+".a", tenant+".b")
	}
	return out
}

func matrixCalls() (out []string) {
	for _, o := range append(matrixObjects(), "shared.nosuch", "nosuch.a") {
		for _, m := range matrixMethods {
			out = append(out, o+"."+m)
		}
	}
	return out
}

// matrixTable returns the decisions of the policy for one row, and checks that they differ.
func matrixTable(t *testing.T, p *policy.Policy, row matrixRow, me int) matrixAnswer {
	t.Helper()
	var g policy.Query
	check(t, g.Set("channel", row.channel))
	check(t, g.Set("address", "127.0.0.1"))
	check(t, g.Set("auth", row.way))
	switch {
	case row.uid != 0:
		check(t, g.Set("uid", fmt.Sprint(row.uid)))
	case row.way == "peer":
		check(t, g.Set("uid", fmt.Sprint(me)))
	}
	want := matrixAnswer{May: map[string]bool{}, Shows: map[string][]string{}, Registered: []string{}}
	exist := matrixObjects()
	permitted := 0
	for _, call := range matrixCalls() {
		id, m, err := policy.SplitCall(call)
		check(t, err)
		may := slices.Contains(exist, string(id)) && p.DecideQuery(object.Principal(row.who), g, id, m).Permit
		want.May[call] = may
		if _, ok := want.Shows[string(id)]; !ok {
			want.Shows[string(id)] = nil
		}
		if may {
			permitted++
			want.Shows[string(id)] = append(want.Shows[string(id)], string(m))
			if !slices.Contains(want.Registered, string(id)) {
				want.Registered = append(want.Registered, string(id))
			}
		}
	}
	if permitted == 0 || permitted == len(want.May) {
		t.Errorf("%d of %d calls are permitted: the row is no test", permitted, len(want.May))
	}
	return want
}
