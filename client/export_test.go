package client

import "time"

// Age makes idle connections look as if they had been unused for long.
func (c *Client) Age() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.idle {
		one.idleSince = time.Time{}
	}
}
