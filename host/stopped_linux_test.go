package host_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/wire"
)

// TestStoppedWorkerDoesNotStopTheLoop stops a worker process, so that it does not read its link. It floods the worker
// with more calls than the link takes, from connections in the same loop as those of another tenant. The other tenant's
// calls are answered meanwhile. After that the worker continues, and its calls have their answers.
func TestStoppedWorkerDoesNotStopTheLoop(t *testing.T) {
	h := contended(t)
	addr := h.Addrs()[0]
	other := pyroConn(t, addr)
	want := 0
	put := func() {
		t.Helper()
		other.call(t, 0, "other.list", "put", "x")
		other.read(t)
		if want++; string(other.lastReply.Payload) != fmt.Sprint(want) {
			t.Fatalf("put of the other tenant = %s, want %d", other.lastReply.Payload, want)
		}
	}
	put()
	const conns, size = 200, 7000 // 1.4 MB: several times the buffers of a link
	text := strings.Repeat("x", size)
	all := make([]*rawClient, conns)
	for i := range all {
		all[i] = pyroConn(t, addr)
		all[i].call(t, 0, "acme.echo", "echo", "first")
		all[i].read(t)
	}
	stopped := h.Workers()["acme"]
	if err := syscall.Kill(stopped, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		c.call(t, 0, "acme.echo", "echo", text)
	}
	var answered atomic.Int64
	waiting := make(chan error, conns)
	for _, c := range all {
		go func() {
			var m wire.Message
			err := c.in.Read(&m)
			answered.Add(1)
			got := string(m.Payload)
			// The host may replace the worker if the machine is slow: the calls then end with an error.
			if err == nil && got != `"`+text+`"` && !strings.Contains(got, "executed") {
				err = fmt.Errorf("the answer of the stopped worker's tenant is %.100s", got)
			}
			waiting <- err
		}()
	}
	meanwhile := 0
	for range 50 {
		put()
		if answered.Load() == 0 {
			meanwhile++
		}
	}
	if meanwhile == 0 {
		t.Error("the other tenant's calls waited for the stopped worker")
	}
	_ = syscall.Kill(stopped, syscall.SIGCONT) // it may have ended
	for range conns {
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
	put()
	t.Logf("%d calls of the other tenant were answered while the worker was stopped", meanwhile)
}
