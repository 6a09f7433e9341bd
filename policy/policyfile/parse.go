package policyfile

import (
	"maps"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones for machines without zone files

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile/egress"
	"github.com/hearthhost/hearth/policy/policyfile/plugin"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// Parse reads the text of a policy file. name is the name of the file in messages and reasons. Relative paths in the
// file are relative to base. hostUID is the OS user that host_user = true stands for. lookup returns the user id of an
// OS account. The error is always a [problem.List].
func Parse(name string, src []byte, base string, hostUID int,
	lookup func(user string) (uint32, error)) (*policy.Policy, error) {
	p, failed, err := parse(name, src, base, hostUID, lookup)
	if err == nil && failed != nil {
		return nil, failed
	}
	return p, err
}

// parse is Parse for a file whose tests may fail. It returns the failing tests.
func parse(name string, src []byte, base string, hostUID int,
	lookup func(user string) (uint32, error)) (p *policy.Policy, failed problem.List, err error) {
	r := &reader{
		Reader: syntax.Reader{File: name, Src: src, Dir: base}, lookup: lookup,
		def: &policy.Definition{
			Set:      map[string]string{},
			Settings: map[object.Tenant]*policy.TenantSettings{},
			Users:    map[uint32]object.Principal{},
			Owners:   map[object.Principal]object.Tenant{},
			Groups:   map[object.Principal][]string{},
			Subjects: map[object.Principal][]*policy.Subject{},
			Zone:     time.UTC,
		},
		principals: map[object.Principal]struct{}{},
		groups:     map[string]*group{},
		subjects:   map[string]*readSubject{},
		uids:       map[uint32]hcl.Range{},
		tenantUIDs: map[uint32]string{},
		labels:     map[[2]string]hcl.Range{},
	}
	r.plugins = plugin.New(&r.Reader, &r.def.Warnings)
	r.egress = egress.New(&r.Reader)
	start := hcl.Range{Filename: name, Start: hcl.InitialPos}
	r.hostUID, r.hostErr = policy.CheckUID(hostUID)
	if len(src) > maxFileBytes {
		r.Problems.Add(start, "", "policy is larger than %d bytes", maxFileBytes)
		return nil, nil, r.Problems
	}
	if r.CheckNesting(src); len(r.Problems) > 0 {
		return nil, nil, r.Problems
	}
	f, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if diags.HasErrors() {
		// Do not read the valid part of the file: it would cause errors that are consequences.
		r.Problems.AddDiagnostics(name, diags)
		return nil, nil, r.Problems.Sorted()
	}
	body, ok := f.Body.(*hclsyntax.Body)
	if !ok {
		r.Problems.Add(start, "", "policy must be in HCL native syntax")
		return nil, nil, r.Problems
	}
	r.top(body)
	r.def.Declared = slices.Sorted(maps.Keys(r.principals))
	if len(r.Problems) > 0 {
		return nil, nil, r.Problems.Sorted()
	}
	r.def.Warnings = r.def.Warnings.Sorted()
	return policy.New(*r.def), r.failed.Sorted(), nil
}

// reader reads the blocks of a file into a definition and collects its problems.
type reader struct {
	syntax.Reader
	hostUID uint32
	hostErr error // error of hostUID, reported if the file uses host_user
	lookup  func(string) (uint32, error)
	def     *policy.Definition
	built   *policy.Policy // of def, for tests; nil before the first test block
	failed  problem.List   // failing tests

	principals   map[object.Principal]struct{} // declared principals, also those with problems
	uids         map[uint32]hcl.Range          // positions of the user ids of principals
	tenantUIDs   map[uint32]string             // tenants by user id
	autos        []autoUser                    // tenants with user = "auto"
	labels       map[[2]string]hcl.Range       // positions of blocks by kind and name
	groups       map[string]*group
	subjects     map[string]*readSubject // subjects by the name of a principal or group
	ownerTenants []syntax.Element        // tenants that principals name; checked after tenants are read

	plugins *plugin.Reader
	egress  *egress.Reader

	adminAt     hcl.Range // position of the address of the metrics
	authorities []string  // files of the certificate authorities of listeners

	identity    string    // file of the host's age identities
	identitySet bool      // the file sets identity, valid or not
	grantees    []grantee // objects of secrets; checked after tenants are read
	unread      []unreadSecret
	webhooks    []hcl.Range // positions of the names of webhooks
}

// blockKinds are the blocks with names, in the order in which they are read: declarations before references.
var blockKinds = []string{"listener", "principal", "tenant", "webhook", "group", "permit", "forbid", "limit", "test"}

// top reads the whole file.
func (r *reader) top(body *hclsyntax.Body) {
	a := r.Attributes(body, "the policy", "scripts", "plugins", "state", "timezone", "uids", "identity")
	for name, attr := range a {
		r.def.Set[name] = r.Where(attr.NameRange)
	}
	r.def.Scripts = r.Folder(a, "scripts", policy.DefaultScripts)
	r.def.State = r.Folder(a, "state", policy.DefaultState)
	r.def.Plugins = r.Folder(a, "plugins", policy.DefaultPlugins)
	r.def.Audit = policy.DefaultAudit(r.def.State)
	r.zone(a)
	r.identity, r.identitySet = r.FilePath(a, "identity"), a["identity"] != nil
	read := map[string]func(string, *hclsyntax.Block){
		"listener":  r.listener,
		"principal": r.principal,
		"tenant":    r.tenant,
		"webhook":   r.webhook,
		"group":     r.group,
		"permit":    r.permit,
		"forbid":    r.forbid,
		"limit":     r.limit,
		"test":      r.test,
	}
	single := map[string]func(*hclsyntax.Block){
		"audit":  r.audit,
		"admin":  r.admin,
		"trace":  r.trace,
		"enroll": r.enroll,
	}
	for _, b := range body.Blocks {
		switch {
		case single[b.Type] != nil:
			single[b.Type](b)
		case read[b.Type] == nil:
			kinds := append(slices.Clone(blockKinds), "audit", "admin", "trace", "enroll")
			r.Problems.Add(b.TypeRange, problem.OneOf(b.Type, kinds), "unknown block %q", b.Type)
		}
	}
	for _, kind := range blockKinds {
		for _, b := range body.Blocks {
			if b.Type != kind {
				continue
			}
			if name, ok := r.label(b); ok {
				read[kind](name, b)
			}
		}
		switch kind {
		case "tenant":
			for _, e := range r.ownerTenants {
				r.CheckTenant(object.Tenant(e.Text), e, "tenant")
			}
			r.autoUIDs(a)
			r.checkGrantees()
			r.egress.Check(r.def, r.CheckTenant)
		case "webhook":
			r.checkUnread()
		case "group":
			r.resolveGroups()
		}
	}
	r.plugins.CheckPaths(r.def)
	r.adminClash()
	r.checkWebhooks()
	slices.Sort(r.def.Tenants)
}

// zone reads the time zone of conditions.
func (r *reader) zone(a syntax.Attributes) {
	s, at, ok := r.Text(a, "timezone")
	if !ok {
		return
	}
	zone, err := time.LoadLocation(s)
	if err != nil || s == "Local" || s == "" {
		r.Problems.Add(at, `write a name like "Europe/Berlin" or "UTC"`, "timezone: %q is not a time zone", s)
		return
	}
	r.def.Zone = zone
}

// label returns a block's name, which must be unique among blocks of its kind.
func (r *reader) label(b *hclsyntax.Block) (string, bool) {
	if len(b.Labels) != 1 {
		r.Problems.Add(b.TypeRange, "write "+b.Type+` "name" { … }`, "a %s must have one name, not %d", b.Type,
			len(b.Labels))
		return "", false
	}
	name, at := b.Labels[0], b.LabelRanges[0]
	if strings.TrimSpace(name) == "" || problem.OneLine(name) != name || len(name) > 255 {
		r.Problems.Add(at, "", "the name of a %s must be one line of 1 to 255 bytes", b.Type)
		return "", false
	}
	key := [2]string{b.Type, name}
	if first, ok := r.labels[key]; ok {
		r.Problems.Add(at, "", "%s %q is already declared in line %d", b.Type, name, first.Start.Line)
		return "", false
	}
	r.labels[key] = at
	return name, true
}

// single reports whether a block without a name is the first of its kind, and records its position.
func (r *reader) single(b *hclsyntax.Block) bool {
	r.Unnamed(b)
	if first, ok := r.def.Set[b.Type]; ok {
		r.Problems.Add(b.TypeRange, "", "%s block is already at %s", syntax.Article(b.Type), first)
		return false
	}
	r.def.Set[b.Type] = r.Where(b.TypeRange)
	return true
}
