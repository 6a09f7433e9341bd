package admit

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/internal/inflight"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// shares is what principals and tenants have of the host: connections, and bytes in flight. Each message, payload
// that is unpacked and answer is counted there before there is memory for it. Safe for concurrent use.
type Shares struct {
	Bytes           *inflight.Account // of all
	Unauthenticated *inflight.Account // of connections that have not said who they are
	MaxConns        int               // connections in all

	Refused atomic.Uint64 // messages for which there was no room

	dropped    atomic.Int64 // bytes of large buffers since the last collection
	collecting atomic.Bool

	mu          sync.Mutex // guards what follows
	byPrincipal map[object.Principal]*Share
	tenants     map[object.Tenant]*inflight.Account // of what their objects send each other and plugins ask
}

// share is one principal's.
type Share struct {
	Principal object.Principal
	Bytes     *inflight.Account
	conns     int // guarded by the mu of shares
}

// Bounds on bytes in flight.
const (
	LeastFlightBytes = 256 << 20 // of all; a quarter of the memory, if that is more
	MostFlightBytes  = 1 << 30
	shareOfFlight    = 4 // a principal's or tenant's part is one of so many
	strangersFlight  = 32 << 20
)

// maxConns bounds the connections of the host.
const MaxConns = 20000

// Bounds on connections. Of the descriptors that the process may have a quarter is for other things, so that files
// can be read, workers started and the admin socket be used whatever callers do.
const (
	shareOfConns  = 4  // a principal's part of all is one of so many
	leastReserved = 64 // descriptors for other things than connections
	mostReserved  = 4096
)

func (s *Shares) Init(memory int64, descriptors uint64) {
	all := min(max(memory/4, LeastFlightBytes), MostFlightBytes)
	s.Bytes = inflight.New("the host", all)
	s.Unauthenticated = s.Bytes.Child("connections that have not said who they are", strangersFlight)
	s.MaxConns = ConnsFor(descriptors)
	s.byPrincipal = map[object.Principal]*Share{}
	s.tenants = map[object.Tenant]*inflight.Account{}
}

// connRoom returns how many connections a process may have that may have so many descriptors.
func ConnsFor(descriptors uint64) int {
	n := int(min(descriptors, 1<<30))
	reserved := min(max(n/4, leastReserved), mostReserved)
	return min(max(n-reserved, 1), MaxConns)
}

// enter counts a connection of a principal, unless it has too many.
func (s *Shares) Enter(who object.Principal, p *policy.Policy) (*Share, *TooManyConns) {
	may := p.ShareOf(who)
	if may.Connections == 0 {
		may.Connections = max(s.MaxConns/shareOfConns, 1)
		may.Reason = "the host's own limit of connections"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.byPrincipal[who]
	if sh == nil {
		sh = &Share{Principal: who, Bytes: s.Bytes.Child("principal "+string(who), s.flight(may))}
		s.byPrincipal[who] = sh
	}
	if sh.conns >= may.Connections {
		return nil, &TooManyConns{who, may.Connections, may.Reason}
	}
	sh.conns++
	return sh, nil
}

// flight is how many bytes a principal may have in flight.
func (s *Shares) flight(may policy.Share) int64 {
	if may.InFlight > 0 {
		return may.InFlight
	}
	return s.Bytes.Limit() / shareOfFlight
}

// leave takes back what enter counted.
func (s *Shares) Exit(sh *Share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh.conns--; sh.conns == 0 {
		delete(s.byPrincipal, sh.Principal)
	}
}

// refit has principals' accounts have the limits of a new policy.
func (s *Shares) ApplyPolicy(p *policy.Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for who, sh := range s.byPrincipal {
		sh.Bytes.SetLimit(s.flight(p.ShareOf(who)))
	}
}

// of_ returns a principal's share, nil for a principal without a connection.
func (s *Shares) Of(who object.Principal) *Share {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byPrincipal[who]
}

// heaviest returns the share with the most connections, nil if there is none.
func (s *Shares) Heaviest() (most *Share, conns int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.byPrincipal {
		if sh.conns > conns {
			most, conns = sh, sh.conns
		}
	}
	return most, conns
}

// tenant returns a tenant's account.
func (s *Shares) Tenant(name object.Tenant) *inflight.Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.tenants[name]
	if a == nil {
		a = s.Bytes.Child("tenant "+string(name), s.Bytes.Limit()/shareOfFlight)
		s.tenants[name] = a
	}
	return a
}

// A connection's messages and buffers are counted beyond uncounted bytes, and in steps, so that most calls of most
// callers change no account.
const (
	FreeBytes   = 8 << 10
	countStep   = 16 << 10
	OnewayBytes = 1 << 10 // what a oneway call takes beside its payload
)

// roomTimeout is how long a message waits for room among those of its principal.
var WaitTimeout = 10 * time.Second // a variable for tests

// holding is the bytes that one connection holds. It is the connection's goroutine's own.
type Holding struct {
	Account *inflight.Account
	used    int // messages and buffers
	counted int // in the account
}

// lacks returns how many bytes are to be acquired for n more.
func (b *Holding) lacks(n int) int {
	short := b.used + n - FreeBytes - b.counted
	if short <= 0 {
		return 0
	}
	return (short + countStep - 1) / countStep * countStep
}

// add counts n bytes before there is memory for them. The error is that of the account.
func (b *Holding) Add(n int) error {
	lacks := b.lacks(n)
	if lacks > 0 {
		if err := b.Account.Acquire(lacks); err != nil {
			return err
		}
	}
	b.counted += lacks
	b.used += n
	return nil
}

// wait is add that waits for room until ctx is done.
func (b *Holding) Wait(ctx context.Context, n int) error {
	lacks := b.lacks(n)
	if err := b.Account.Wait(ctx, lacks); err != nil {
		return err
	}
	b.counted += lacks
	b.used += n
	return nil
}

// move takes n bytes out of the holding: what is returned is to be released by somebody else.
func (b *Holding) Detach(n int) int {
	counted := min(n, b.counted)
	b.used -= n
	b.counted -= counted
	return counted
}

// settle sets what is held to used bytes. It reports whether there is room for that.
func (b *Holding) Settle(used int) bool {
	b.used = used
	spare := b.counted - max(used-FreeBytes, 0)
	if spare < 0 {
		return b.Add(0) == nil
	}
	if spare >= 4*countStep {
		b.Account.Release(spare)
		b.counted -= spare
	}
	return true
}

// end gives everything back.
func (b *Holding) Release() {
	if b.counted > 0 {
		b.Account.Release(b.counted)
	}
	b.used, b.counted = 0, 0
}

// to goes on in another account.
func (b *Holding) Transfer(a *inflight.Account) {
	b.Release()
	b.Account = a
}

// Large buffers that are dropped are collected once they come to so much: garbage is not in any account, and with much
// memory in use the runtime would wait until there is as much garbage.
const (
	LargeBuffer  = 1 << 20
	CollectAfter = 64 << 20
)

// drop counts a buffer of n bytes that is no longer used. It may start a collection, which costs little: large
// buffers hold no pointers.
func (s *Shares) Discard(n int) {
	if n < LargeBuffer || s.dropped.Add(int64(n)) < CollectAfter || !s.collecting.CompareAndSwap(false, true) {
		return
	}
	s.dropped.Store(0)
	go func() { // ends with the collection
		runtime.GC()
		s.collecting.Store(false)
	}()
}

// noRoom is the error of a call that was not executed since an account is full.
func (s *Shares) Exhausted(full error) error {
	s.Refused.Add(1)
	return object.Errorf(object.CodeExhausted, "limit exceeded: %v; not executed, try again", full)
}

// lostResult is the error of a call whose result is dropped since an account is full.
func (s *Shares) ResultLost(full error) error {
	s.Refused.Add(1)
	return object.Errorf(object.CodeExhausted, "limit exceeded: %v; the call was executed, its result is lost", full)
}

// tooManyConns says that a principal has as many connections as it may.
type TooManyConns struct {
	who   object.Principal
	most  int
	Limit string // the rule, or that it is the host's own
}

// Error is for the client.
func (e *TooManyConns) Error() string {
	return fmt.Sprintf("limit exceeded: %d connections of principal %s; close some", e.most, e.who)
}
