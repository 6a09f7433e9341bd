package policyfile

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/policy"
)

// enroll reads the enroll block.
func (r *reader) enroll(b *hclsyntax.Block) {
	if !r.single(b) {
		return
	}
	a := r.Block(b, "ca")
	r.def.Enroll = &policy.Enroll{CA: r.FilePath(a, "ca")}
}
