// Package condition compiles and evaluates the `when` conditions of rules.
//
// A condition is an expression in HCL syntax over the attributes of a call: caller, object, method and time.
// Names, types and constants are checked when it is compiled. At run time the only error is an attribute that
// is not known for the call. Evaluation takes bounded time.
package condition
