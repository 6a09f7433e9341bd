package main

import (
	"sync"

	"github.com/hearthhost/hearth/plugins/sdk"
)

// queue runs one call at a time and records the calls.
type queue struct{}

var (
	holding = make(chan struct{}) // closed when Hold runs
	opened  = make(chan struct{}) // closed to end Hold
	mu      sync.Mutex            // guards ran
	ran     []int
)

// Hold keeps the instance busy until [control.Open]. A process can call it once.
func (queue) Hold() { close(holding); <-opened }

// Add records a call.
func (queue) Add(n int) {
	mu.Lock()
	defer mu.Unlock()
	ran = append(ran, n)
}

// control is used by a test while a queue is busy.
type control struct{}

// Holding returns when Hold runs.
func (control) Holding() { <-holding }

// Open ends Hold.
func (control) Open() { close(opened) }

// Ran returns the recorded calls of all queues.
func (control) Ran() []int {
	mu.Lock()
	defer mu.Unlock()
	return ran
}

func queueOf(mode sdk.Mode, name string) *sdk.Object {
	return sdk.New(mode, "", func() queue { return queue{} }).Named(name).Method("hold", queue.Hold, "").
		Method("add", queue.Add, "")
}
