package policyfile

import (
	"maps"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a machine without zone files has them all the same

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// Parse reads the text of a policy file. name stands in messages and reasons, base is
// the folder that relative paths in the file are relative to, hostUID the OS user that
// host_user = true stands for, and lookup returns the user id of an OS account. The
// error is always [Problems].
func Parse(name string, src []byte, base string, hostUID int, lookup func(user string) (uint32, error)) (*policy.Policy, error) {
	p, failed, err := parse(name, src, base, hostUID, lookup)
	if err == nil && failed != nil {
		return nil, failed
	}
	return p, err
}

// parse is Parse without a look at what the tests came to.
func parse(name string, src []byte, base string, hostUID int, lookup func(user string) (uint32, error)) (p *policy.Policy, failed problem.List, err error) {
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
	start := hcl.Range{Filename: name, Start: hcl.InitialPos}
	r.hostUID, r.hostErr = policy.CheckUID(hostUID)
	if len(src) > maxFileBytes {
		r.Problems.Add(start, "", "the file is larger than %d bytes", maxFileBytes)
		return nil, nil, r.Problems
	}
	if r.CheckNesting(src); len(r.Problems) > 0 {
		return nil, nil, r.Problems
	}
	f, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if diags.HasErrors() {
		// What could be read of a broken file would only be complained about as well.
		r.Problems.AddDiagnostics(name, diags)
		return nil, nil, r.Problems.Sorted()
	}
	body, ok := f.Body.(*hclsyntax.Body)
	if !ok {
		r.Problems.Add(start, "", "not a policy in HCL's own syntax")
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

// reader turns the syntax tree into a policy and collects what is wrong.
type reader struct {
	syntax.Reader
	hostUID uint32
	hostErr error // why hostUID cannot be used
	lookup  func(string) (uint32, error)
	def     *policy.Definition
	built   *policy.Policy // of def, for tests; nil before the first test block
	failed  problem.List   // failing tests

	principals   map[object.Principal]struct{} // declared, with or without mistakes inside
	uids         map[uint32]hcl.Range          // where a user id was given to a principal
	tenantUIDs   map[uint32]string
	autos        []autoUser
	labels       map[[2]string]hcl.Range // where a kind of block got a name
	groups       map[string]*group
	subjects     map[string]*readSubject // by the name of a principal or group
	ownerTenants []syntax.Element        // tenants named by principals, to be checked once tenants are known

	shown []syntax.Element // paths that plugins see

	adminAt     hcl.Range
	authorities []string // the files of authorities that listeners take

	identity    string // the file of the host's age identities
	identitySet bool   // with or without a mistake
	grantees    []grantee
}

// blockKinds are the blocks that have names, in the order in which they are read: what
// declares before what refers.
var blockKinds = []string{"listener", "principal", "tenant", "group", "permit", "forbid", "limit", "test"}

// top reads the whole file.
func (r *reader) top(body *hclsyntax.Body) {
	a := r.Attributes(body, "the policy", "scripts", "plugins", "state", "timezone", "uids", "identity")
	for name, attr := range a {
		r.def.Set[name] = r.Where(attr.NameRange)
	}
	r.def.Scripts, r.def.State = r.Folder(a, "scripts", policy.DefaultScripts), r.Folder(a, "state", policy.DefaultState)
	r.def.Plugins = r.Folder(a, "plugins", policy.DefaultPlugins)
	r.def.Audit = policy.DefaultAudit(r.def.State)
	r.zone(a)
	r.identity, r.identitySet = r.FilePath(a, "identity"), a["identity"] != nil
	read := map[string]func(string, *hclsyntax.Block){
		"listener": r.listener, "principal": r.principal, "tenant": r.tenant,
		"group": r.group, "permit": r.permit, "forbid": r.forbid, "limit": r.limit, "test": r.test,
	}
	single := map[string]func(*hclsyntax.Block){"audit": r.audit, "admin": r.admin, "trace": r.trace, "enroll": r.enroll}
	for _, b := range body.Blocks {
		switch {
		case single[b.Type] != nil:
			single[b.Type](b)
		case read[b.Type] == nil:
			kinds := append(slices.Clone(blockKinds), "audit", "admin", "trace", "enroll")
			r.Problems.Add(b.TypeRange, problem.OneOf(b.Type, kinds), "there is no block %q", b.Type)
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
		case "group":
			r.resolveGroups()
		}
	}
	r.checkShown()
	r.adminClash()
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
		r.Problems.Add(at, `write a name like "Europe/Berlin" or "UTC"`, "timezone: %q is not known", s)
		return
	}
	r.def.Zone = zone
}

// label returns a block's one name, which no other block of its kind has.
func (r *reader) label(b *hclsyntax.Block) (string, bool) {
	if len(b.Labels) != 1 {
		r.Problems.Add(b.TypeRange, "write "+b.Type+` "name" { … }`, "a %s has one name, and this one has %d", b.Type, len(b.Labels))
		return "", false
	}
	name, at := b.Labels[0], b.LabelRanges[0]
	if strings.TrimSpace(name) == "" || problem.OneLine(name) != name || len(name) > 255 {
		r.Problems.Add(at, "", "the name of a %s is one line of 1 to 255 bytes", b.Type)
		return "", false
	}
	key := [2]string{b.Type, name}
	if first, ok := r.labels[key]; ok {
		r.Problems.Add(at, "", "there is a %s %q already, in line %d", b.Type, name, first.Start.Line)
		return "", false
	}
	r.labels[key] = at
	return name, true
}

// single reports whether a block without a name that stands once in the file is that one,
// and notes where it is.
func (r *reader) single(b *hclsyntax.Block) bool {
	r.Unnamed(b)
	if first, ok := r.def.Set[b.Type]; ok {
		r.Problems.Add(b.TypeRange, "", "there is %s block already, at %s", syntax.Article(b.Type), first)
		return false
	}
	r.def.Set[b.Type] = r.Where(b.TypeRange)
	return true
}
