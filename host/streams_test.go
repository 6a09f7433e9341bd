package host_test

import (
	"fmt"
	"iter"
	"testing"

	"github.com/hearthhost/hearth/client"
)

// TestStreamsOfAPrincipal opens the item streams that a principal may have, by default and by a limit, and one more.
// The error names the setting, and a closed stream frees its slot.
func TestStreamsOfAPrincipal(t *testing.T) {
	limit := func(n int) string {
		return everything + fmt.Sprintf("limit \"streams\" {\n principals = [\"owner\"]\n streams = %d\n}\n", n)
	}
	for most, policy := range map[int]string{64: everything, 70: limit(70), 3: limit(3)} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			c := dial(t, start(t, policy), client.Config{MaxConns: most + 1})
			open := func() (end func(), err error) {
				next, stop := iter.Pull2(c.Object("acme.echo").Stream(t.Context(), "count", 2))
				t.Cleanup(stop)
				if _, err, _ = next(); err != nil {
					stop() // releases its connection
				}
				return stop, err
			}
			var ends []func()
			for range most {
				end, err := open()
				if err != nil {
					t.Fatalf("stream %d: %v", len(ends)+1, err)
				}
				ends = append(ends, end)
			}
			const format = "%d item streams of principal owner are open: close some, or set streams in a limit block"
			over := fmt.Sprintf(format, most)
			_, err := open()
			wantRemote(t, err, "", over)
			ends[0]()
			// A oneway call closes the stream. A call over another connection may run before it.
			for _, err = open(); err != nil; _, err = open() {
				wantRemote(t, err, "", over)
				if t.Failed() {
					return
				}
			}
			_, err = open()
			wantRemote(t, err, "", over)
		})
	}
}
