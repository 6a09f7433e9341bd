package object

import "strings"

// maxClassBytes bounds the length of a class name.
const maxClassBytes = 200

// ValidClass reports whether s can name a class of an application: identifiers of ASCII joined by dots, at least two,
// for example "shop.OutOfStock". "__" occurs in none of them, and the first one is no module of Python or Pyro.
func ValidClass(s string) bool {
	if len(s) > maxClassBytes || strings.Contains(s, "__") {
		return false
	}
	parts := strings.Split(s, ".")
	for _, part := range parts {
		if !identifier(part) {
			return false
		}
	}
	return len(parts) > 1 && !ReservedClass(s)
}

// ReservedClass reports whether a qualified class belongs to a module of Python or Pyro. Clients give these classes a
// special meaning.
func ReservedClass(s string) bool {
	module, _, ok := strings.Cut(s, ".")
	switch module {
	case "builtins", "exceptions", "Pyro4", "Pyro5":
		return ok
	}
	return false
}

// BareClass returns a class name without its module if that is one of Python or Pyro, for example "ValueError" for
// "builtins.ValueError". Other names are returned unchanged.
func BareClass(name string) string {
	for _, module := range [...]string{"builtins.", "exceptions.", "Pyro4.errors.", "Pyro5.errors."} {
		if bare, ok := strings.CutPrefix(name, module); ok {
			return bare
		}
	}
	return name
}

// maxFieldBytes bounds the name of a field of an exception.
const maxFieldBytes = 100

// ValidField reports whether s can name a field of an exception: an identifier of ASCII of at most 100 bytes, without a
// leading underscore. Python clients set it as an attribute, so "args" is excluded.
func ValidField(s string) bool {
	return len(s) <= maxFieldBytes && identifier(s) && s[0] != '_' && s != "args"
}

// identifier reports whether s is an identifier of ASCII.
func identifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
