// Package namespace clones processes into new namespaces of the kernel.
//
// It works on Linux only.
package namespace
