// Package deps holds no code: its test draws the import graph of the project and
// fails when an edge appears that the design does not have. If it fails, discuss the
// design before editing the test.
package deps
