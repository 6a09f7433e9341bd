// Package syntax reads blocks and attributes of an HCL file with their types, and collects the problems of the
// file. It has no names of the policy's own, except the former names of attributes.
package syntax
