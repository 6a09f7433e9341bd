package leader_test

import (
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/link/linktest"
	"github.com/hearthhost/hearth/sandbox/worker/leader"
)

// fixture is a group at one end of a link. The test is at the other end.
type fixture struct {
	t     *testing.T
	group *leader.Group
	out   *link.Writer // of the group
	host  *link.Writer
	end   *linktest.End
	ended chan error
	work  func(id, term uint64) // of the Runner of each frame

	mu      sync.Mutex // guards replies
	replies []uint64
}

// runner is the work of one frame.
type runner struct {
	f  *fixture
	id uint64
}

func (r runner) Run(term uint64) { r.f.work(r.id, term) }

// newFixture starts a group whose frames have some work. It ends with stop.
func newFixture(t *testing.T, work func(f *fixture, id, term uint64)) (f *fixture, stop func()) {
	t.Helper()
	ours, theirs, err := linktest.Pair()
	if err != nil {
		t.Fatal(err)
	}
	f = &fixture{t: t, out: link.NewWriter(theirs), host: link.NewWriter(ours), end: ours, ended: make(chan error, 1)}
	f.work = func(id, term uint64) { work(f, id, term) }
	f.group = leader.New(f.out, func(frame link.Frame) (leader.Runner, error) {
		if frame.ID == 0 {
			return nil, nil
		}
		return runner{f, frame.ID}, nil
	}, func() bool { return false })
	in, err := link.NewReader(theirs, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { f.ended <- f.group.Serve(in, false) }()
	replies, err := link.NewReader(ours, func(_ link.Type, id uint64, _ []byte) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.replies = append(f.replies, id)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() { defer close(read); _ = replies.Run(false) }()
	return f, func() {
		ours.Close()
		if err := <-f.ended; !errors.Is(err, io.EOF) {
			t.Errorf("Serve() = %v", err)
		}
		f.group.End()
		<-read
	}
}

// frame returns a frame with an id.
func frame(id uint64) []byte {
	var e link.Encoder
	e.Begin(link.Call, id)
	return e.Frame()
}

// reply sends the reply of a frame, as Runner requires.
func (f *fixture) reply(id, term uint64) {
	if f.group.Leads(term) {
		_, _ = f.out.AppendBounded(frame(id))
		return
	}
	_ = f.out.Write(frame(id))
}

// send sends frames together.
func (f *fixture) send(ids ...uint64) {
	for _, id := range ids {
		_ = f.host.Append(frame(id))
	}
	f.host.Flush()
}

// wantReplies waits until the group is at rest, and checks the replies since the last call.
func (f *fixture) wantReplies(ids ...uint64) {
	f.t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.replies
	f.replies = nil
	if len(got) != len(ids) {
		f.t.Errorf("replies %v, want %v", got, ids)
		return
	}
	for i := range got {
		if got[i] != ids[i] {
			f.t.Errorf("replies %v, want %v", got, ids)
			return
		}
	}
}

// TestOrder sends frames together and one by one. The leader does their work in order.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stop := newFixture(t, func(f *fixture, id, term uint64) {
			if !f.group.Leads(term) {
				t.Errorf("frame %d is not run by the leader", id)
			}
			f.reply(id, term)
		})
		defer stop()
		f.send(1)
		f.wantReplies(1)
		f.send(2, 0, 3, 4)
		f.wantReplies(2, 3, 4)
	})
}

// TestTakeOver blocks the work of a frame, which reports that, or does not. The frames before and after it are
// answered, and its own reply comes when it continues.
func TestTakeOver(t *testing.T) {
	for _, reports := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			blocked := make(chan struct{})
			f, stop := newFixture(t, func(f *fixture, id, term uint64) {
				if id == 2 {
					if reports {
						f.group.TakeOver()
					}
					<-blocked
					if f.group.Leads(term) {
						t.Error("the former leader leads after it was blocked")
					}
				}
				f.reply(id, term)
			})
			defer stop()
			f.send(1, 2, 3)
			if !reports {
				synctest.Wait()
				time.Sleep(10 * time.Millisecond) // the watchdog's time passes
			}
			f.wantReplies(1, 3)
			f.send(4)
			f.wantReplies(4)
			close(blocked)
			f.wantReplies(2)
			f.send(5)
			f.wantReplies(5)
		})
	}
}

// TestSendAndWait has the work of each frame wait for the next one. All frames that are sent leave.
func TestSendAndWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		continues := make(chan struct{})
		f, stop := newFixture(t, func(f *fixture, id, term uint64) {
			var e link.Encoder
			e.Begin(link.HostCall, 100+id)
			f.group.SendAndWait(&e)
			<-continues
			f.reply(id, term)
		})
		defer stop()
		f.send(1, 2, 3)
		f.wantReplies(101, 102, 103)
		f.send(4)
		f.wantReplies(104)
		close(continues)
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.replies) != 4 {
			t.Errorf("replies %v, want four", f.replies)
		}
	})
}

// TestSendToPeerThatDoesNotRead has the work of each frame send more than the socket holds. The group reads on.
func TestSendToPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs, err := linktest.Pair()
		if err != nil {
			t.Fatal(err)
		}
		out := link.NewWriter(theirs)
		var group *leader.Group
		var handled atomic.Int32
		group = leader.New(out, func(f link.Frame) (leader.Runner, error) {
			handled.Add(1)
			return sender{&group}, nil
		}, func() bool { return false })
		in, err := link.NewReader(theirs, nil)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- group.Serve(in, false) }()
		host := link.NewWriter(ours)
		for id := range uint64(20) {
			if err := host.Write(frame(id + 1)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := handled.Load(); n != 20 {
			t.Errorf("%d frames of 20 are read while the peer does not read", n)
		}
		ours.Close()
		<-ended
		group.End()
	})
}

// sender sends a large frame.
type sender struct{ group **leader.Group }

func (s sender) Run(uint64) {
	var e link.Encoder
	e.Begin(link.Reply, 1)
	e.Raw(make([]byte, 1<<20))
	(*s.group).Send(&e)
}

// TestRace has other goroutines take over at any time, and work that yields at random places. Each frame has one reply.
func TestRace(t *testing.T) {
	const frames = 2000
	replies := make(chan uint64, 2*frames)
	ours, theirs, err := linktest.Pair()
	if err != nil {
		t.Fatal(err)
	}
	out := link.NewWriter(theirs)
	f := &fixture{t: t, out: out}
	f.work = func(id, term uint64) {
		if id%3 == 0 {
			runtime.Gosched()
		}
		if id%7 == 0 {
			f.group.TakeOver()
		}
		f.reply(id, term)
	}
	f.group = leader.New(out, func(frame link.Frame) (leader.Runner, error) {
		return runner{f, frame.ID}, nil
	}, func() bool { return true })
	in, err := link.NewReader(theirs, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- f.group.Serve(in, true) }()
	reader, err := link.NewReader(ours, func(_ link.Type, id uint64, _ []byte) error {
		replies <- id
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() { defer close(read); _ = reader.Run(false) }()
	host := link.NewWriter(ours)
	for id := range uint64(frames) {
		if err := host.Write(frame(id + 1)); err != nil {
			t.Fatal(err)
		}
		f.group.TakeOver()
	}
	seen := map[uint64]bool{}
	for range frames {
		id := <-replies
		if seen[id] {
			t.Errorf("frame %d has two replies", id)
		}
		seen[id] = true
	}
	ours.Close()
	<-ended
	<-read
	f.group.End()
}

// TestIdleWatchdog checks that no watchdog wakes a process whose leader waits for frames.
func TestIdleWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stop := newFixture(t, (*fixture).reply)
		defer stop()
		for id := range uint64(3) {
			f.send(id + 1)
			f.wantReplies(id + 1)
			if f.group.StopWatchdog() {
				t.Errorf("call %d: the watchdog is armed after the call", id+1)
			}
		}
	})
}

// TestCompute has the work of a frame compute for long. The frames after it do not wait for each other: each gets its
// own goroutine until the first one ends.
func TestCompute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, computed := make(chan struct{}), make(chan struct{})
		f, stop := newFixture(t, func(f *fixture, id, term uint64) {
			switch id {
			case 1:
				f.group.Compute()
				<-computed
			case 2, 3:
				if term != 0 {
					t.Errorf("frame %d is run by the leader of term %d", id, term)
				}
				<-release
			default:
				if !f.group.Leads(term) {
					t.Errorf("frame %d is not run by the leader", id)
				}
			}
			f.reply(id, term)
		})
		defer stop()
		f.send(1, 2, 3)
		f.wantReplies()
		close(release)
		synctest.Wait()
		f.mu.Lock()
		if len(f.replies) != 2 {
			t.Errorf("replies %v", f.replies)
		}
		f.replies = nil
		f.mu.Unlock()
		close(computed)
		f.wantReplies(1)
		f.send(4)
		f.wantReplies(4)
	})
}
