package policy

import "github.com/hashicorp/hcl/v2/hclsyntax"

// Enroll is the enroll block: clients with a token get their key or certificate.
type Enroll struct {
	CA string // absolute path of the folder of the authority that issues certificates; "": keys only
}

// enroll reads the enroll block.
func (r *reader) enroll(b *hclsyntax.Block) {
	if !r.single(b) {
		return
	}
	a := r.block(b, "ca")
	r.p.Enroll = &Enroll{CA: r.filePath(a, "ca")}
}
