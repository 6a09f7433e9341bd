// Package policy decides which principals may call which methods of which objects, and identifies principals.
//
// A [Definition] is the content of a policy: principals, tenants, rules, limits and settings of the host.
// [New] makes a [Policy] of it, which is immutable and safe for concurrent use. Deciding is a function of
// the policy and the question. Everything that no permit covers is denied, and a forbid overrides every permit.
//
// Objects of the host itself, whose ids begin with object.HostPrefix, are always denied here. The host
// authorizes them.
//
// Other packages read and analyse policies:
//
//	policy/policyfile  reads policy.hcl into a Definition
//	policy/condition   compiles and evaluates `when` conditions
//	policy/syntax      reads typed blocks and attributes of HCL
//	policy/problem     reports errors with their positions
//	policy/analysis    explains, compares and checks policies
package policy
