package policy

import "github.com/hashicorp/hcl/v2/hclsyntax"

// enroll reads the enroll block.
func (r *reader) enroll(b *hclsyntax.Block) {
	if !r.single(b) {
		return
	}
	a := r.Block(b, "ca")
	r.def.Enroll = &Enroll{CA: r.FilePath(a, "ca")}
}
