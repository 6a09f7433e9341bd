package policy

import "github.com/hearthhost/hearth/object"

// Secret is a secret block of a tenant: a value that some of its objects may know.
type Secret struct {
	Tenant   object.Tenant
	Name     string
	Path     string      // absolute
	Identity string      // absolute path of the age identities that decrypt the file; "": it is plain
	Objects  []object.ID // in the order of the file; never empty
	Where    string      // of the file's name, for messages: "policy.hcl:12:5"
}
