// Package budget limits the run of a Lua state: steps, wall time, memory and the caller's context.
//
// A [Meter] belongs to one state. All meters of the process share its heap up to the soft memory limit of the Go
// runtime.
package budget
