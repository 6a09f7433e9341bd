package main

import (
	"sync"

	"github.com/hearthhost/hearth/plugins/sdk"
)

// queue runs one call at a time. It records the calls that it ran.
type queue struct{}

var (
	holding = make(chan struct{}) // closed when Hold runs
	opened  = make(chan struct{}) // closed when Hold is to return
	mu      sync.Mutex            // guards ran
	ran     []int
)

// Hold keeps the instance busy until [control.Open]. A process can do that once.
func (queue) Hold() { close(holding); <-opened }

// Add records a call.
func (queue) Add(n int) {
	mu.Lock()
	defer mu.Unlock()
	ran = append(ran, n)
}

// control is the other side of a test that uses a queue.
type control struct{}

// Holding returns when Hold runs.
func (control) Holding() { <-holding }

// Open has Hold return.
func (control) Open() { close(opened) }

// Ran returns the calls that queues ran.
func (control) Ran() []int {
	mu.Lock()
	defer mu.Unlock()
	return ran
}

func queueOf(mode sdk.Mode, name string) *sdk.Object {
	return sdk.New(mode, "", func() queue { return queue{} }).Named(name).Method("hold", queue.Hold, "").
		Method("add", queue.Add, "")
}
