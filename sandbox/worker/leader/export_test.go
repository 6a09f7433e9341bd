package leader

// StopWatchdog stops the watchdog and reports whether it was armed.
func (g *Group) StopWatchdog() bool { return g.watchdog.Stop() }
