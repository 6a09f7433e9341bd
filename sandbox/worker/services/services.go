package services

import (
	"fmt"
	"sync/atomic"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/services"
)

// Link sends frames to the host. An error is not returned: the goroutine that reads the link finds that it has ended.
type Link interface {
	// Send may wait until the host reads.
	Send(e *link.Encoder)
	// Post does not wait.
	Post(frame []byte)
	// SendAndWait is Send for a goroutine that then waits for the host's reply.
	SendAndWait(e *link.Encoder)
}

// Set holds the services that the running objects of one worker use. Safe for concurrent use.
type Set struct {
	Log Log

	calls   hostCalls
	objects objects
	secrets secrets
	durable durable
}

// New returns the services of a worker whose link to the host is l.
func New(l Link) *Set {
	s := &Set{}
	s.calls.link = l
	s.objects.calls = &s.calls
	s.durable.calls = &s.calls
	s.objects.message.Store(object.DefaultMessageBytes)
	s.Log.init(&s.calls, &s.secrets)
	return s
}

// Sandbox returns the services in the form in which a program uses them.
func (s *Set) Sandbox() services.Set {
	return services.Set{Objects: &s.objects, Log: &s.Log, Secrets: &s.secrets, Store: &s.durable}
}

// Allow sets the limits of a version of an object.
func (s *Set) Allow(id object.ID, limits object.Limits) {
	s.Log.allow(id, limits.LogLines)
	raise(&s.objects.message, int64(limits.ResultBytes))
}

// raise sets a number to n if that is larger.
func raise(to *atomic.Int64, n int64) {
	for old := to.Load(); old < n && !to.CompareAndSwap(old, n); old = to.Load() {
	}
}

// Push handles a HostPush frame.
func (s *Set) Push(d *link.Decoder) error {
	service, op := d.PushFields()
	if service != link.Secrets || op != link.SecretsGrant {
		return fmt.Errorf("link: the host pushed op %d of %s", op, service)
	}
	s.secrets.grant(d)
	return d.Err
}

// Complete handles a HostReply frame. It does not wait.
func (s *Set) Complete(id uint64, d *link.Decoder) { s.calls.complete(id, d) }

// InFlight returns the number of host calls that wait for their reply.
func (s *Set) InFlight() int { return s.calls.inFlight() }
