// Package policyfile reads policy.hcl into a policy.Definition.
//
// Reading is strict. Unknown names, references to undeclared names and patterns that can match nothing are
// errors. All errors of a file are reported together, with their positions.
//
// This package reads the whole file in the order of its references: principals and tenants before groups, groups before
// rules, rules before tests. The packages below it read single kinds of blocks:
//
//	policyfile/account   finds the user ids of OS accounts
//	policyfile/endpoint  reads listener, admin and trace blocks
//	policyfile/limits    reads limits of tenants and objects, and compares them
//	policyfile/plugin    reads plugin blocks
package policyfile
