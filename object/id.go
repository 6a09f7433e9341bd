package object

import (
	"fmt"
	"slices"
	"strings"
)

// Tenant is the name of an owner of objects, for example "acme". It is one name part.
type Tenant string

// ID is the address of an object: "<tenant>.<name>[.<name>…]", for example "acme.shop.cart". The ids of built-in
// objects start with [HostPrefix].
//
// An object of mode [Keyed] has one instance for each key. Its calls have the id of an instance: the object's id, ':'
// and a key that [ValidKey] accepts, for example "acme.cart:alice". The object's id is the family of these ids.
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

// MaxIDBytes bounds the length of an object id, its key included. MaxKeyBytes bounds the key.
const (
	MaxIDBytes  = 255
	MaxKeyBytes = 128
)

// keySeparator is the byte before the key of an id. It is in no name part and in no key.
const keySeparator = ':'

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

// ParseTarget is [ParseID] that also accepts the id of an instance of a keyed object.
func ParseTarget(s string) (ID, error) {
	family, key, keyed := strings.Cut(s, string(keySeparator))
	switch {
	case !keyed:
		return ParseID(s)
	case len(s) > MaxIDBytes:
		return "", fmt.Errorf("object id of %d bytes: at most %d are allowed", len(s), MaxIDBytes)
	case !ValidKey(key):
		return "", fmt.Errorf("object id %q: %q is not a key of 1 to %d letters, digits, '_', '-', '.' and '~', "+
			"the first one a letter, a digit or '_'", s, key, MaxKeyBytes)
	}
	if _, err := ParseID(family); err != nil {
		return "", err
	}
	return ID(s), nil
}

// ValidKey reports whether s can be a key of a keyed object: [A-Za-z0-9_][A-Za-z0-9_.~-]*, at most [MaxKeyBytes]. Such
// a key has no meaning in globs of the policy, file names, URLs, Pyro's addresses and log lines.
func ValidKey(s string) bool {
	if s == "" || len(s) > MaxKeyBytes {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		case i > 0 && (c == '-' || c == '.' || c == '~'):
		default:
			return false
		}
	}
	return true
}

// Split returns the id of the object and the key. keyed is false for an id without a key, which is its own family. The
// key of a malformed id may be invalid or empty.
func (id ID) Split() (family ID, key string, keyed bool) {
	i := strings.IndexByte(string(id), keySeparator)
	if i < 0 {
		return id, "", false
	}
	return id[:i], string(id[i+1:]), true
}

// Family returns the id of the object: id without its key.
func (id ID) Family() ID {
	family, _, _ := id.Split()
	return family
}

// Key returns the key, "" for an id without one.
func (id ID) Key() string {
	_, key, _ := id.Split()
	return key
}

// WithKey returns the id of an instance of a keyed object.
func (id ID) WithKey(key string) ID { return id + ID(keySeparator) + ID(key) }

// AnyKey is the key under which listings show a keyed object: "acme.cart:*". [ValidKey] does not accept it.
const AnyKey = "*"

// Tenant returns the part before the first dot.
func (id ID) Tenant() Tenant {
	t, _, _ := strings.Cut(string(id), ".")
	return Tenant(t)
}

// Name returns the part after the first dot, the key included.
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

// ContainerMethods are the methods that Pyro clients call for len(p), p[k], p[k] = v, del p[k], iteration and "in".
// They are the only callable names with a leading underscore. Do not modify it.
var ContainerMethods = [...]Method{"__len__", "__getitem__", "__setitem__", "__delitem__", "__iter__", "__contains__"}

// Callable reports whether clients may call a member of this name: an identifier [A-Za-z][A-Za-z0-9_]* of at most 255
// bytes, or one of [ContainerMethods]. Dotted names, other private names (leading underscore) and non-ASCII names are
// not callable.
//
// Source: doc/security.md "Dotted names"; PSF-2005-001.
func (m Method) Callable() bool {
	if m == "" || len(m) > 255 {
		return false
	}
	if m[0] == '_' {
		return slices.Contains(ContainerMethods[:], m)
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
