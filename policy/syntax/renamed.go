package syntax

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// renamedAttributes maps former attribute names to current ones. A file with a former name does not load.
var renamedAttributes = map[string]string{
	"wall":   "max_duration",
	"weaken": "allow_missing",
	"way":    "auth",
}

// renamed reports a problem for a former attribute name in a body that has the current one. It returns false for other
// attributes.
func (r *Reader) renamed(a *hclsyntax.Attribute, has func(name string) bool) bool {
	name := renamedAttributes[a.Name]
	if name == "" || !has(name) {
		return false
	}
	value := strings.Join(strings.Fields(string(a.Expr.Range().SliceBytes(r.Src))), " ")
	r.Problems.Add(a.NameRange, fmt.Sprintf("write %s = %s", name, value), "%s is now %s", a.Name, name)
	return true
}
