package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/internal/systemd"
	"github.com/hearthhost/hearth/transport"
)

// What two hosts say to each other while one takes the place of the other, as JSON values on
// a socket between them: the old one an inheritance, the new one that it is ready or why not,
// the old one to go; later the new one that it ends itself. The end of the socket says that
// the other has ended. Fields may be added, and none may change its meaning: the two are of
// different versions.
type (
	// bequest is what the old host says first. The descriptors follow the channel's, in order.
	bequest struct {
		Sockets  []bequestSocket `json:"sockets"`
		Lock     bool            `json:"lock"`
		Audit    bool            `json:"audit"`
		Upgrades uint64          `json:"upgrades"`         // attempts that have ended, see [host.Running]
		Notify   string          `json:"notify,omitempty"` // the service manager
		Watchdog time.Duration   `json:"watchdog,omitempty"`
	}
	bequestSocket struct {
		Name string `json:"name"`
		Keep bool   `json:"keep"` // its file is the service manager's
	}
	// answer is what the new host says: it has taken these listeners, or Error.
	answer struct {
		Version string   `json:"version,omitempty"`
		Took    []string `json:"took,omitempty"`
		Error   string   `json:"error,omitempty"`
	}
	// word is all that is said after that.
	word struct {
		Go  bool `json:"go,omitempty"`  // old: accept, I do no more
		Bye bool `json:"bye,omitempty"` // new: I was told to end, so do you
	}
)

// predecessor is the host whose place this one takes. A nil one is none: its methods do
// nothing then.
type predecessor struct {
	conn  net.Conn
	in    *json.Decoder
	was   bequest
	began bool
	gone  chan struct{} // closed when it has ended
}

// takePredecessor reads what the host before has handed over. marker is the number of the
// descriptor of the channel. That it is the host before the kernel has to say: this
// process's parent, of the same user.
func takePredecessor(marker string) (*predecessor, host.Inheritance, error) {
	fail := func(err error) (*predecessor, host.Inheritance, error) {
		return nil, host.Inheritance{}, fmt.Errorf("taking over from another host (%s): %w", envHandover, err)
	}
	fd, err := strconv.Atoi(marker)
	if err != nil || fd < 3 {
		return fail(fmt.Errorf("%q is not the number of a descriptor", marker))
	}
	if err := proveParent(fd); err != nil {
		return fail(err)
	}
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "handover")
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return fail(err)
	}
	p := &predecessor{conn: conn, in: json.NewDecoder(conn), gone: make(chan struct{})}
	if err := p.in.Decode(&p.was); err != nil {
		conn.Close()
		return fail(err)
	}
	return p, p.inheritance(fd + 1), nil
}

// inheritance are the descriptors from fd on.
func (p *predecessor) inheritance(fd int) host.Inheritance {
	in := host.Inheritance{Predecessor: os.Getppid()}
	next := func(name string) *os.File {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), name)
		fd++
		return f
	}
	for _, s := range p.was.Sockets {
		in.Sockets = append(in.Sockets, transport.Socket{Name: s.Name, Keep: s.Keep, File: next(s.Name)})
	}
	if p.was.Lock {
		in.Lock = next("lock")
	}
	if p.was.Audit {
		in.Audit = next("audit log")
	}
	return in
}

// manager is the service manager as the predecessor knew it.
func (p *predecessor) manager() systemd.Facts {
	return systemd.Facts{Notify: p.was.Notify, Watchdog: p.was.Watchdog}
}

// ready tells the predecessor that this host listens, and returns once that one has made room.
func (p *predecessor) ready(ctx context.Context, took []string) error {
	stop := context.AfterFunc(ctx, func() { p.conn.Close() })
	defer stop()
	if err := p.say(answer{Version: thisBuild().Version, Took: took}); err != nil {
		return err
	}
	var w word
	if err := p.in.Decode(&w); err != nil || !w.Go {
		return errors.New("the host before called it off, or has ended")
	}
	p.began = true
	return nil
}

// failed tells the predecessor why this host does not take its place.
func (p *predecessor) failed(err error) {
	if p == nil || p.began || err == nil {
		return
	}
	_ = p.say(answer{Error: foreign(unshield(err.Error()))})
	p.conn.Close()
}

func (p *predecessor) say(v any) error {
	_ = p.conn.SetWriteDeadline(time.Now().Add(handoverPatience))
	if err := json.NewEncoder(p.conn).Encode(v); err != nil {
		return fmt.Errorf("speaking with the host before: %w", err)
	}
	return nil
}

// await waits for the predecessor's end.
func (p *predecessor) await() {
	_, _ = io.Copy(io.Discard, p.conn)
	p.conn.Close()
	close(p.gone)
}

// bye asks the predecessor to end too, since this host does.
func (p *predecessor) bye() {
	if p != nil {
		_ = p.say(word{Bye: true})
	}
}
