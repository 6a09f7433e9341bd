package client

import "time"

// Age makes idle connections appear idle for a long time.
func (c *Client) Age() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.idle {
		one.idleSince = time.Time{}
	}
}
