// Package services connects the running objects of a worker with the services of the host.
//
// A [Set] implements the services of package sandbox for one worker process:
//
//   - objects calls other objects and waits for their reply,
//   - [Log] sends log lines of scripts and reports failed calls,
//   - secrets holds the secrets that the host has granted, and redacts texts,
//   - durable reads and writes the durable state of objects.
//
// All four send frames of one kind, HostCall; hostCalls is the one table of those that wait for a reply. Package link
// defines the ops and their payloads.
//
// The package is independent of jobs, instances and versions. A call belongs to a request by its context, see
// [RequestKey]. The goroutine that reads the link gives the host's frames to [Set.Push] and [Set.Complete], which do
// not wait.
package services
