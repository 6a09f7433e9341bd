package policy

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
)

// The file's form. Unknown blocks and attributes are errors.
type fileForm struct {
	Scripts    *string         `hcl:"scripts"`
	State      *string         `hcl:"state"`
	Listeners  []listenerForm  `hcl:"listener,block"`
	Principals []principalForm `hcl:"principal,block"`
	Tenants    []tenantForm    `hcl:"tenant,block"`
	Permits    []permitForm    `hcl:"permit,block"`
}

type listenerForm struct {
	Name     string    `hcl:"name,label"`
	Address  string    `hcl:"address"`
	Identify *[]string `hcl:"identify"`
	Range    hcl.Range `hcl:",def_range"`
}

type principalForm struct {
	Name     string    `hcl:"name,label"`
	User     *string   `hcl:"user"`
	UID      *int64    `hcl:"uid"`
	HostUser *bool     `hcl:"host_user"`
	Range    hcl.Range `hcl:",def_range"`
}

type tenantForm struct {
	Name  string    `hcl:"name,label"`
	Range hcl.Range `hcl:",def_range"`
}

type permitForm struct {
	Name       string    `hcl:"name,label"`
	Principals []string  `hcl:"principals"`
	Objects    []string  `hcl:"objects"`
	Methods    *[]string `hcl:"methods"`
	Tracebacks *bool     `hcl:"tracebacks"`
	Range      hcl.Range `hcl:",def_range"`
}

// Load reads a policy file. Relative paths in it are relative to its folder. The error
// names every problem, each with file:line:column.
func Load(path string, hostUID int) (*Policy, error) {
	src, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return Parse(path, src, base, hostUID, lookupUser)
}

func lookupUser(name string) (uint32, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(uid), err
}

// Parse reads a policy from src; name is for messages, base what paths are relative to,
// lookup finds the uid of an account.
func Parse(name string, src []byte, base string, hostUID int, lookup func(string) (uint32, error)) (*Policy, error) {
	file, diags := hclsyntax.ParseConfig(src, filepath.Base(name), hcl.InitialPos)
	if diags.HasErrors() {
		return nil, asError(diags)
	}
	var form fileForm
	if diags := gohcl.DecodeBody(file.Body, nil, &form); diags.HasErrors() {
		return nil, asError(diags)
	}
	c := compiler{p: &Policy{tenants: map[object.Tenant]bool{}, byUID: map[uint32]object.Principal{},
		rules: map[object.Principal][]rule{}}, names: map[object.Principal]bool{object.Anonymous: true}}
	c.p.Scripts, c.p.State = absolute(base, or(form.Scripts, "scripts")), absolute(base, or(form.State, "state"))
	c.listeners(form.Listeners, base)
	c.principals(form.Principals, hostUID, lookup)
	c.tenants(form.Tenants)
	c.permits(form.Permits)
	if c.diags.HasErrors() {
		return nil, asError(c.diags)
	}
	return c.p, nil
}

func or(v *string, def string) string {
	if v == nil {
		return def
	}
	return *v
}

// asError makes one error of all diagnostics, a line each.
func asError(diags hcl.Diagnostics) error {
	var lines []string
	for _, d := range diags {
		at := ""
		if d.Subject != nil {
			at = fmt.Sprintf("%s:%d:%d: ", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column)
		}
		text := d.Summary
		if d.Detail != "" {
			text += ": " + d.Detail
		}
		lines = append(lines, at+text)
	}
	return errors.New(strings.Join(lines, "\n"))
}

// compiler builds a Policy and collects what is wrong.
type compiler struct {
	p     *Policy
	names map[object.Principal]bool
	diags hcl.Diagnostics
}

func (c *compiler) fail(r hcl.Range, format string, args ...any) {
	c.diags = append(c.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Subject: &r, Summary: fmt.Sprintf(format, args...)})
}

func (c *compiler) listeners(forms []listenerForm, base string) {
	seen := map[string]bool{}
	for _, f := range forms {
		l := Listener{Name: f.Name, Address: absoluteAddress(base, f.Address), Identify: []string{"peer"}}
		if f.Identify != nil {
			l.Identify = *f.Identify
		}
		for _, way := range l.Identify {
			if way != "peer" {
				c.fail(f.Range, "listener %q: identify = %q is not a way of identification; there is \"peer\"", f.Name, way)
			}
		}
		if seen[f.Name] {
			c.fail(f.Range, "listener %q is declared twice", f.Name)
		}
		seen[f.Name] = true
		c.p.Listeners = append(c.p.Listeners, l)
	}
}

func (c *compiler) principals(forms []principalForm, hostUID int, lookup func(string) (uint32, error)) {
	for _, f := range forms {
		name := object.Principal(f.Name)
		uid, err := f.uid(hostUID, lookup)
		switch {
		case err != nil:
			c.fail(f.Range, "principal %q: %s", f.Name, err)
		case !object.ValidName(f.Name) || name == object.Anonymous:
			c.fail(f.Range, "principal %q: a name has letters, digits, '_' and '-', and \"anonymous\" is taken", f.Name)
		case c.names[name]:
			c.fail(f.Range, "principal %q is declared twice", f.Name)
		case c.p.byUID[uid] != "":
			c.fail(f.Range, "principal %q: uid %d is principal %q already", f.Name, uid, c.p.byUID[uid])
		default:
			c.p.byUID[uid] = name
		}
		c.names[name] = true
	}
}

func (f *principalForm) uid(hostUID int, lookup func(string) (uint32, error)) (uint32, error) {
	host := f.HostUser != nil && *f.HostUser
	switch {
	case f.User != nil && f.UID == nil && !host:
		uid, err := lookup(*f.User)
		if err != nil {
			return 0, fmt.Errorf("there is no account %q on this machine", *f.User)
		}
		return uid, nil
	case f.UID != nil && f.User == nil && !host:
		if *f.UID < 0 || *f.UID >= 1<<32-1 {
			return 0, fmt.Errorf("uid = %d is not a user id", *f.UID)
		}
		return uint32(*f.UID), nil
	case host && f.User == nil && f.UID == nil:
		return uint32(hostUID), nil
	}
	return 0, errors.New("give exactly one of user, uid and host_user = true")
}

func (c *compiler) tenants(forms []tenantForm) {
	for _, f := range forms {
		t := object.Tenant(f.Name)
		switch {
		case !object.ValidName(f.Name) || f.Name == "Pyro":
			c.fail(f.Range, "tenant %q: a name has letters, digits, '_' and '-', and Pyro is the host's own", f.Name)
		case c.p.tenants[t]:
			c.fail(f.Range, "tenant %q is declared twice", f.Name)
		}
		c.p.tenants[t] = true
	}
}

func (c *compiler) permits(forms []permitForm) {
	seen := map[string]bool{}
	for _, f := range forms {
		if seen[f.Name] {
			c.fail(f.Range, "permit %q is declared twice", f.Name)
		}
		seen[f.Name] = true
		r := rule{reason: fmt.Sprintf("%s:%d: permit %q", f.Range.Filename, f.Range.Start.Line, f.Name),
			tracebacks: f.Tracebacks != nil && *f.Tracebacks}
		for _, o := range f.Objects {
			c.object(&f, o)
			r.objects = append(r.objects, pattern(o))
		}
		if f.Methods != nil {
			r.methods = map[object.Method]bool{}
			for _, m := range *f.Methods {
				if !object.Method(m).Callable() {
					c.fail(f.Range, "permit %q: method %q can never be called", f.Name, m)
				}
				r.methods[object.Method(m)] = true
			}
		}
		for _, name := range f.Principals {
			c.principal(&f, name)
			c.p.rules[object.Principal(name)] = append(c.p.rules[object.Principal(name)], r)
		}
	}
}

// principal checks that a rule names somebody who exists.
func (c *compiler) principal(f *permitForm, name string) {
	id, isObject := strings.CutPrefix(name, "object:")
	if !isObject {
		if !c.names[object.Principal(name)] {
			c.fail(f.Range, "permit %q: there is no principal %q", f.Name, name)
		}
		return
	}
	oid, err := object.ParseID(id)
	if err != nil {
		c.fail(f.Range, "permit %q: principal %q: %s", f.Name, name, err)
	} else if !c.p.tenants[oid.Tenant()] {
		c.fail(f.Range, "permit %q: principal %q: there is no tenant %q", f.Name, name, oid.Tenant())
	}
}

// object checks that a pattern can match something.
func (c *compiler) object(f *permitForm, p string) {
	tenant, rest, ok := strings.Cut(p, ".")
	if p == "*" {
		return
	}
	if !ok || rest == "" || (tenant != "*" && !object.ValidName(tenant)) {
		c.fail(f.Range, "permit %q: objects %q: want <tenant>.<name>, where * stands for any characters of the name", f.Name, p)
		return
	}
	if tenant != "*" && !c.p.tenants[object.Tenant(tenant)] {
		c.fail(f.Range, "permit %q: objects %q: there is no tenant %q", f.Name, p, tenant)
	}
}
