package object

import (
	"fmt"
	"strings"
)

// Tenant is the name of an owner of objects, for example "acme". It is one name part.
type Tenant string

// ID is the address of an object: "<tenant>.<name>[.<name>…]", for example "acme.shop.cart". The ids of built-in
// objects start with [HostPrefix].
type ID string

// Method is the name of a method or attribute.
type Method string

// HostTenant is the reserved tenant name of the built-in objects. HostPrefix is the prefix of their ids.
const (
	HostTenant Tenant = "Pyro"
	HostPrefix        = string(HostTenant) + "."
)

// The built-in objects.
const (
	Daemon     ID = "Pyro.Daemon"
	NameServer ID = "Pyro.NameServer"
	Enroll     ID = "Pyro.Enroll" // for clients with an enrollment token only
)

// MaxIDBytes bounds the length of an object id.
const MaxIDBytes = 255

// ParseID checks that s is a well-formed object id of a tenant: at least two name parts of [A-Za-z0-9_-]+ joined by
// dots, at most [MaxIDBytes] bytes, without [HostPrefix].
func ParseID(s string) (ID, error) {
	if len(s) > MaxIDBytes {
		return "", fmt.Errorf("object id of %d bytes: at most %d are allowed", len(s), MaxIDBytes)
	}
	parts := strings.Split(s, ".")
	if len(parts) < 2 {
		return "", fmt.Errorf("object id %q: the form is <tenant>.<name>", s)
	}
	for _, p := range parts {
		if !ValidName(p) {
			return "", fmt.Errorf("object id %q: %q is not a name of letters, digits, '_' and '-'", s, p)
		}
	}
	if Tenant(parts[0]) == HostTenant {
		return "", fmt.Errorf("object id %q: ids with the prefix %q are reserved for the host", s, HostPrefix)
	}
	return ID(s), nil
}

// Tenant returns the part before the first dot.
func (id ID) Tenant() Tenant {
	t, _, _ := strings.Cut(string(id), ".")
	return Tenant(t)
}

// Name returns the part after the first dot.
func (id ID) Name() string {
	_, n, _ := strings.Cut(string(id), ".")
	return n
}

// Principal returns the principal of the object in its own calls: "object:" and the id.
func (id ID) Principal() Principal { return Principal(objectPrefix + string(id)) }

// ValidName reports whether s is one name part of an id: [A-Za-z0-9_-]+.
func ValidName(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// Callable reports whether clients may call a member of this name: an identifier [A-Za-z][A-Za-z0-9_]* of at most 255
// bytes. Dotted, private (leading underscore) and non-ASCII names are not callable.
//
// Source: doc/security.md "Dotted names"; PSF-2005-001.
func (m Method) Callable() bool {
	if m == "" || len(m) > 255 {
		return false
	}
	for i := range len(m) {
		c := m[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '_')) {
			return false
		}
	}
	return true
}
