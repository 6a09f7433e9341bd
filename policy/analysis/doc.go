// Package analysis explains, compares and checks policies. It is for operators: the host does not use it to
// decide.
package analysis
