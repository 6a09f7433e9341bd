// Package controlgroup limits the memory, processes and processor time of one process by a Linux control group.
//
// It supports versions 1 and 2 of control groups. The group is made below the host's own group.
package controlgroup
