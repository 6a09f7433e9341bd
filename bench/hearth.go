package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

//go:embed peers/work.lua
var workScript string

//go:embed peers/count.lua
var countScript string

// hearthPolicy is the host's policy. All protections are on: clients are authenticated by the kernel, a key or a
// certificate; a rule permits each call; each decision is audited before the call; the script runs with all isolation
// layers and limits.
const hearthPolicy = `
scripts = "scripts"
state   = "state"

listener "local" {
  address  = "127.0.0.1:0"
  identify = ["peer", "hmac"]
}
listener "tls" {
  address  = "127.0.0.1:0"
  identify = ["cert"]
  tls {
    cert      = "ca/host.pem"
    key       = "ca/host.key"
    client_ca = "ca/ca.pem"
    revoked   = "ca/revoked"
  }
}
principal "load" {
  host_user = true
  keys      = ["load.key"]
  cert { common_name = "load" }
}
tenant "bench" {
  limits {
    arguments = "16MiB"
    result    = "16MiB"
  }
}
permit "the load may work" {
  principals = ["load"]
  objects    = ["*"]
  methods    = ["add", "echo", "count"]
}
limit "the load" {
  principals  = ["load"]
  connections = 20000
}
audit { keep = 1 }
`

// hearth is a running host with its folder.
type hearth struct {
	p        *process
	dir      string
	plain    string // address of the listener for peer credentials and keys
	tls      string
	messages uint64 // measured calls and batches
}

// startHearth starts a host that serves bench.work and further objects like it.
func startHearth(ctx context.Context, bin, dir string, more many) (*hearth, error) {
	policy := hearthPolicy
	ids := []object.ID{workID}
	for i := range more.objects {
		id := more.id(i)
		ids = append(ids, id)
		if i < more.tenants {
			policy += fmt.Sprintf("tenant %q {}\n", id.Tenant())
		}
	}
	for i, id := range append([]object.ID{countID}, ids...) {
		script := workScript
		if i == 0 {
			script = countScript
		}
		folder, name, _ := strings.Cut(string(id), ".")
		folder = filepath.Join(dir, "scripts", folder)
		err := errors.Join(
			os.MkdirAll(folder, 0o755), //nolint:gosec // the host reads it
			os.WriteFile(filepath.Join(folder, name+".lua"), []byte(script), 0o600),
		)
		if err != nil {
			return nil, fmt.Errorf("preparing Hearth: %w", err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "state"), 0o700),
		os.WriteFile(filepath.Join(dir, "policy.hcl"), []byte(policy), 0o600)); err != nil {
		return nil, fmt.Errorf("preparing Hearth: %w", err)
	}
	for _, line := range []string{"key new load.key", "ca init", "ca issue host --server --ip 127.0.0.1",
		"ca issue load"} {
		//nolint:gosec // the binary that is to be measured
		cmd := exec.CommandContext(ctx, bin, strings.Fields(line)...)
		cmd.Dir, cmd.Env = dir, baseEnv()
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("hearth %s: %w\n%s", line, err, out)
		}
	}
	ready := filepath.Join(dir, "ready")
	//nolint:gosec,noctx // the binary that is to be measured; stop ends it gracefully
	cmd := exec.Command(bin, "serve", "--policy", "policy.hcl", "--ready-file", ready)
	cmd.Dir, cmd.Env = dir, baseEnv()
	p, err := start("hearth serve", false, cmd)
	if err != nil {
		return nil, err
	}
	h := &hearth{p: p, dir: dir}
	err = p.await(ctx, func() bool {
		text, err := os.ReadFile(ready) //nolint:gosec // in our folder
		if addrs := strings.Fields(string(text)); err == nil && len(addrs) == 2 {
			h.plain, h.tls = addrs[0], addrs[1]
		}
		return h.tls != ""
	})
	if err != nil {
		p.stop()
		return nil, err
	}
	return h, nil
}

// many is a number of further objects in further tenants. Each object keeps a Lua state; a worker has memory for about
// two thousand.
type many struct{ objects, tenants int }

func (m many) id(i int) object.ID {
	return object.ID(fmt.Sprintf("many%d.o%05d", i%m.tenants, i))
}

// peer returns the host as a subject on one of its channels: "plain", "hmac" or "tls".
func (h *hearth) peer(name, channel string) (*peer, error) {
	profile := client.Profile{Address: h.plain, Channel: channel}
	switch channel {
	case "hmac":
		profile.Key = "load.key"
	case "tls":
		profile.Address, profile.CA, profile.Cert, profile.CertKey = h.tls, "ca/ca.pem", "ca/load.pem", "ca/load.key"
	}
	cfg, err := h.config(profile)
	if err != nil {
		return nil, err
	}
	return &peer{
		name:    name,
		uri:     "PYRO:" + workID + "@" + h.plain,
		pid:     h.p.cmd.Process.Pid,
		address: h.plain,
		host:    h,
		stop:    h.p.stop,
		dial:    func(ctx context.Context) (caller, error) { return dialPyro(ctx, cfg, workID) },
	}, nil
}

// config reads a profile from a file, like every client.
func (h *hearth) config(profile client.Profile) (client.Config, error) {
	cfg := client.Config{Protocol: wire.Pyro4} // the protocol of the Pyro daemon
	text, err := json.Marshal(profile)
	if err != nil {
		return cfg, err
	}
	path := filepath.Join(h.dir, profile.Channel+".json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return cfg, err
	}
	read, err := client.LoadProfile(path)
	if err != nil {
		return cfg, err
	}
	return cfg, read.Apply(&cfg)
}

// checkAudit compares the number of audit records with the number of measured calls. If they are equal, each call was
// authorized and audited.
func (h *hearth) checkAudit() error {
	n, err := h.audited()
	if err != nil {
		return err
	}
	if n < h.messages {
		return fmt.Errorf("hearth's audit log has %d records for %d calls and batches: it ran without its protections",
			n, h.messages)
	}
	return nil
}

// audited returns the number of records in the host's audit log.
func (h *hearth) audited() (uint64, error) {
	f, err := os.Open(filepath.Join(h.dir, "state", "audit.jsonl"))
	if err != nil {
		return 0, fmt.Errorf("looking for Hearth's audit log: %w", err)
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	last := make([]byte, min(end, 16<<10))
	if _, err := f.ReadAt(last, end-int64(len(last))); err != nil {
		return 0, err
	}
	text := strings.TrimSuffix(string(last), "\n")
	var record struct {
		Seq uint64 `json:"seq"`
	}
	if err := json.Unmarshal([]byte(text[strings.LastIndexByte(text, '\n')+1:]), &record); err != nil {
		return 0, fmt.Errorf("reading the end of Hearth's audit log: %w", err)
	}
	return record.Seq, nil
}
