// Package dryrun checks the files of a host and tests its scripts, without serving them.
//
// [Check] returns the faults of a start: of the policy, folders, credentials, scripts and plugins. [Test] runs the
// tests of scripts. Both load scripts in workers that serve no calls, cannot call other objects and are confined as far
// as the user of the process can. Neither opens a listener nor writes files, so a host may run at the same time.
package dryrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/host/advice"
	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/folder"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/script"
)

// Config configures a check or a test. Policy and Worker are required.
type Config struct {
	Policy     *policy.Policy
	PolicyFile string   // file of Policy; "": the built-in policy
	Worker     []string // command that starts a worker
}

// Check returns the faults that a host would have if it started now, sorted by file. They are errors that prevent the
// start, files that would be refused or logged, and notes about likely mistakes. Check loads every script in a separate
// worker, as [Test] does. It starts no plugins.
func Check(ctx context.Context, cfg Config) []fault.Refusal {
	p := cfg.Policy
	c := &checkup{policyFile: cfg.PolicyFile}
	for _, text := range advice.Host(p) {
		c.add(fault.Fault{Err: errors.New(text), Warning: true})
	}
	c.errors(errors.Join(folder.CheckPolicyFile(cfg.PolicyFile), backend.CheckPolicy(p), backend.CheckUsers(p)))
	c.errors(folder.CheckNested(p))
	c.errors(folder.CheckCode(p))
	c.add(folder.Faults(p)...)
	if err := audit.Check(p.Audit.Path); err != nil && !p.Audit.Off {
		c.add(fault.Fault{Path: p.Audit.Path, Err: err})
	}
	quiet := slog.New(slog.DiscardHandler)
	v, _ := credential.NewStore(p, nil, quiet) // credentialFaults returns the errors
	s, _ := credential.NewSecrets(p, nil, quiet)
	c.add(credential.Faults(p, v, s, time.Now())...)

	f, err := new(catalog.Reader).Read(p, nil)
	if err != nil {
		c.add(fault.Fault{Err: err})
	} else {
		c.files(p, f)
		c.scripts(ctx, cfg, f, s)
	}
	slices.SortStableFunc(c.found, func(a, b fault.Refusal) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.ID, b.ID))
	})
	return c.found
}

// checkup collects faults.
type checkup struct {
	policyFile string

	mu    sync.Mutex // guards found
	found []fault.Refusal
}

func (c *checkup) add(all ...fault.Fault) {
	for _, p := range all {
		c.refuse(fault.Refusal{Path: p.Path, Err: p.Err.Error(), Note: p.Warning})
	}
}

func (c *checkup) refuse(r fault.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = append(c.found, r)
}

// errors adds each of joined errors, as faults of the policy.
func (c *checkup) errors(err error) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			c.errors(one)
		}
		return
	}
	path := c.policyFile
	if path != "" && strings.HasPrefix(err.Error(), path) { // it names the line too
		path = ""
	}
	c.refuse(fault.Refusal{Path: path, Err: err.Error()})
}

// files adds the files of scripts and plugins that would not be served.
func (c *checkup) files(p *policy.Policy, f *catalog.Files) {
	c.add(f.Problems...)
	for _, t := range f.Tenants {
		c.add(t.Problems...)
	}
	seen := map[object.ID]bool{}
	for _, pin := range f.Plugins {
		if seen[pin.ID] {
			continue
		}
		seen[pin.ID] = true
		path := catalog.PluginPath(p, pin)
		if err := binary.Check(path, pin.SHA256); err != nil {
			c.refuse(fault.Refusal{ID: pin.ID, Path: path, Err: err.Error()})
		}
		if pin.Unpinned {
			c.add(fault.Fault{
				Path:    path,
				Err:     fmt.Errorf("%s: the plugin is not pinned: the host runs any program at this path", pin.Where),
				Warning: true,
			})
		}
	}
}

// scripts loads every script, in one worker for each tenant. At most GOMAXPROCS workers run at a time.
func (c *checkup) scripts(ctx context.Context, cfg Config, f *catalog.Files, s *credential.Secrets) {
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for _, name := range slices.Sorted(maps.Keys(f.Tenants)) {
		if len(f.Tenants[name].Objects) == 0 {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			c.tenant(ctx, cfg, name, f.Tenants[name], s)
			<-slots
		})
	}
	wg.Wait()
}

// tenant loads the scripts of one tenant.
func (c *checkup) tenant(
	ctx context.Context, cfg Config, name object.Tenant, t *catalog.TenantFiles, s *credential.Secrets,
) {
	settings := cfg.Policy.Tenant(name)
	w := scratchWorker(cfg, name, &settings)
	defer func() { _ = w.Close(ctx) }()
	w.SetSecrets(s.ForTenant(name))
	libs := script.NewLibs(t.Modules())
	for _, id := range slices.Sorted(maps.Keys(t.Objects)) {
		s := t.Objects[id].Script
		v := script.NewVersion(id, s, libs, settings.Limits(id))
		about, err := w.Stage(ctx, v)
		if err == nil {
			w.Discard(v)
			for _, text := range about.Warnings {
				c.add(fault.Fault{Err: errors.New(text), Warning: true})
			}
			for _, err := range advice.Webhooks(cfg.Policy, about) {
				c.add(fault.Fault{Err: err})
			}
			continue
		}
		var wrong *script.LoadError
		if !errors.As(err, &wrong) { // the worker failed, not the script: report it once for the tenant
			c.refuse(fault.Refusal{
				Path: filepath.Join(cfg.Policy.Scripts, string(name)),
				Err:  "the scripts cannot be loaded: " + fault.Text(err),
			})
			return
		}
		path := filepath.Join(cfg.Policy.Scripts, filepath.FromSlash(s.File))
		c.refuse(fault.Refusal{ID: id, Path: path, Err: fault.Text(err)})
	}
}
