package leader

// crew does tasks in goroutines. It keeps some goroutines for later tasks: a new one has a small stack, which grows
// several times in its first call.
type crew struct {
	group *Group
	tasks chan task     // without a buffer: a goroutine that waits takes the task
	spare chan struct{} // holds a token for each goroutine that waits or is about to
	ended chan struct{} // closed when no goroutine shall wait
}

// maxSpare bounds the goroutines that wait for a task.
const maxSpare = 64

// task is the work of one goroutine: it runs a Runner, or leads in a term if runner is nil.
type task struct {
	runner Runner
	term   uint64
}

func (c *crew) init(g *Group) {
	c.group = g
	c.tasks = make(chan task)
	c.spare = make(chan struct{}, maxSpare)
	c.ended = make(chan struct{})
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
		if t.runner != nil {
			t.runner.Run(0)
		} else {
			c.group.lead(t.term)
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
