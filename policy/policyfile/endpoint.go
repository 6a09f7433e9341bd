package policyfile

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile/endpoint"
)

// listener reads a listener block.
func (r *reader) listener(name string, b *hclsyntax.Block) {
	l := endpoint.Listener(&r.Reader, name, b, r.def.Listeners)
	r.def.Listeners = append(r.def.Listeners, l)
	if l.TLS == nil {
		return
	}
	for _, path := range l.TLS.ClientCA {
		if !slices.Contains(r.authorities, path) {
			r.authorities = append(r.authorities, path)
		}
	}
}

// admin reads the admin block.
func (r *reader) admin(b *hclsyntax.Block) {
	if r.single(b) {
		r.def.Admin, r.adminAt = endpoint.Admin(&r.Reader, b)
	}
}

// adminClash reports a problem if a listener has the address of the metrics. It runs after all blocks are read,
// because their order is free.
func (r *reader) adminClash() {
	for _, l := range r.def.Listeners {
		if l.Address == r.def.Admin.Address && l.Address != "" && !strings.HasSuffix(l.Address, ":0") {
			r.Problems.Add(r.adminAt, "", "listener %q already has the address %q", l.Name, l.Address)
		}
	}
}

// trace reads the trace block.
func (r *reader) trace(b *hclsyntax.Block) {
	if r.single(b) {
		r.def.Trace = endpoint.Trace(&r.Reader, b)
	}
}

// enroll reads the enroll block.
func (r *reader) enroll(b *hclsyntax.Block) {
	if r.single(b) {
		a := r.Block(b, "ca")
		r.def.Enroll = &policy.Enroll{CA: r.FilePath(a, "ca")}
	}
}
