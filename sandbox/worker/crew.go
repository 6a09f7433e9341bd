package worker

// crew runs tasks in goroutines. It keeps some goroutines for later tasks: a new one has a small stack, which grows
// several times in its first call.
type crew struct {
	w     *process
	tasks chan task     // without a buffer: a goroutine that waits takes the task
	spare chan struct{} // holds a token for each goroutine that waits or is about to
	ended chan struct{} // closed when no goroutine shall wait
}

// maxSpare bounds the goroutines that wait for a task.
const maxSpare = 64

// task is the work of one goroutine: it runs an actor, or leads in a term if actor is nil.
type task struct {
	actor *actor
	term  uint64
}

func newCrew(w *process) *crew {
	return &crew{
		w:     w,
		tasks: make(chan task),
		spare: make(chan struct{}, maxSpare),
		ended: make(chan struct{}),
	}
}

// do has a goroutine do a task. It does not wait.
func (c *crew) do(t task) {
	select {
	case c.tasks <- t:
	default:
		go c.loop(t)
	}
}

// loop does tasks until enough other goroutines wait for one, or the crew has ended.
func (c *crew) loop(t task) {
	for {
		if t.actor != nil {
			t.actor.run(0)
		} else {
			c.w.lead(t.term)
		}
		select {
		case c.spare <- struct{}{}:
		default:
			return
		}
		select {
		case t = <-c.tasks:
			<-c.spare
		case <-c.ended:
			return
		}
	}
}

// end lets the goroutines that wait end. Later tasks are done, too.
func (c *crew) end() { close(c.ended) }
