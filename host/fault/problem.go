// Package fault has the report about one of the host's files.
package fault

// problem is a file that is not served, or another of the host's files with a mistake.
type Fault struct {
	Path    string // "" if err names it
	Err     error
	Warning bool // everything works for now
}
