// Package fault describes files of the host that are not in force, and files with a mistake.
package fault

// Fault is a file that is not served, or another file of the host with a mistake.
type Fault struct {
	Path    string // file, "" if Err names it
	Err     error
	Warning bool // no effect yet, such as a certificate that expires soon
}
