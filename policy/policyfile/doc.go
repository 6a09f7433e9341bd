// Package policyfile reads policy.hcl into a policy.Definition.
//
// Reading is strict. Unknown names, references to undeclared names and patterns that can match nothing are
// errors. All errors of a file are reported together, with their positions.
package policyfile
