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

// Shares counts the connections and the bytes in flight of principals and tenants. Each message, decompressed payload
// and reply is counted before its memory is allocated. It is safe for concurrent use after Init.
type Shares struct {
	Bytes           *inflight.Account // bytes in flight of the host
	Unauthenticated *inflight.Account // bytes in flight of unauthenticated connections
	MaxConns        int               // bound on the connections of the host

	Refused atomic.Uint64 // messages rejected since an account was full

	open atomic.Int64 // connections of gateways other than Pyro's

	dropped    atomic.Int64 // bytes of large buffers discarded since the last collection
	collecting atomic.Bool  // a collection runs

	mu          sync.Mutex // guards the fields below
	byPrincipal map[object.Principal]*Share
	tenants     map[object.Tenant]*inflight.Account // bytes of calls between objects and of requests of plugins
}

// Share is a principal's part of the host.
type Share struct {
	Principal object.Principal
	Bytes     *inflight.Account
	conns     int // number of connections, guarded by Shares.mu
}

// Bounds on bytes in flight.
const (
	LeastFlightBytes = 256 << 20 // least bound of the host; the bound is a quarter of the memory
	MostFlightBytes  = 1 << 30   // greatest bound of the host

	inFlightDivisor      = 4 // a principal or tenant may have this fraction of the host's bound
	unauthenticatedBytes = 32 << 20
)

// MaxConns bounds the connections of the host.
const MaxConns = 20000

// Bounds on connections. A quarter of the process's descriptors is reserved, so that the host can always read files,
// start workers and serve the admin socket.
const (
	connsDivisor  = 4    // a principal may have this fraction of the host's connections
	leastReserved = 64   // least number of reserved descriptors
	mostReserved  = 4096 // greatest number of reserved descriptors
)

// Init sets the bounds from the host's memory in bytes and the limit of descriptors. Call it once, first.
func (s *Shares) Init(memory int64, descriptors uint64) {
	all := min(max(memory/4, LeastFlightBytes), MostFlightBytes)
	s.Bytes = inflight.New("the host", all)
	s.Unauthenticated = s.Bytes.Child("unauthenticated connections", unauthenticatedBytes)
	s.MaxConns = MaxConnsFor(descriptors)
	s.byPrincipal = map[object.Principal]*Share{}
	s.tenants = map[object.Tenant]*inflight.Account{}
}

// MaxConnsFor returns the bound on connections of a process with a limit of descriptors.
func MaxConnsFor(descriptors uint64) int {
	n := int(min(descriptors, 1<<30))
	reserved := min(max(n/4, leastReserved), mostReserved)
	return min(max(n-reserved, 1), MaxConns)
}

// otherDivisor is the fraction of the host's connections that gateways other than Pyro's may have.
const otherDivisor = 2

// Open counts a connection of a gateway other than Pyro's, before its peer is identified. It reports false, and counts
// nothing, if there are too many. Close ends it.
func (s *Shares) Open() bool {
	if s.open.Add(1) > int64(max(s.MaxConns/otherDivisor, 1)) {
		s.open.Add(-1)
		return false
	}
	return true
}

// Close ends a connection that Open counted.
func (s *Shares) Close() { s.open.Add(-1) }

// Room returns the number of connections that Pyro's gateway may have.
func (s *Shares) Room() int { return s.MaxConns - int(s.open.Load()) }

// Enter counts a connection of a principal. It returns an error, and counts nothing, if the principal has too many.
func (s *Shares) Enter(principal object.Principal, p *policy.Policy) (*Share, *TooManyConns) {
	limit := p.ShareOf(principal)
	if limit.Connections == 0 {
		limit.Connections = max(s.MaxConns/connsDivisor, 1)
		limit.Reason = "the host's own limit of connections"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.byPrincipal[principal]
	if sh == nil {
		sh = &Share{Principal: principal, Bytes: s.Bytes.Child("principal "+string(principal), s.maxBytes(limit))}
		s.byPrincipal[principal] = sh
	}
	if sh.conns >= limit.Connections {
		return nil, &TooManyConns{principal, limit.Connections, limit.Reason}
	}
	sh.conns++
	return sh, nil
}

// maxBytes returns the bound on a principal's bytes in flight.
func (s *Shares) maxBytes(limit policy.Share) int64 {
	if limit.InFlight > 0 {
		return limit.InFlight
	}
	return s.Bytes.Limit() / inFlightDivisor
}

// Exit ends a connection that Enter counted.
func (s *Shares) Exit(sh *Share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh.conns--
	if sh.conns == 0 {
		delete(s.byPrincipal, sh.Principal)
	}
}

// ApplyPolicy sets the limits of principals' accounts to those of a new policy.
func (s *Shares) ApplyPolicy(p *policy.Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for principal, sh := range s.byPrincipal {
		sh.Bytes.SetLimit(s.maxBytes(p.ShareOf(principal)))
	}
}

// ByPrincipal returns a principal's share, nil for a principal without a connection.
func (s *Shares) ByPrincipal(p object.Principal) *Share {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byPrincipal[p]
}

// Heaviest returns the share with the most connections and their number, nil without connections.
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

// Tenant returns a tenant's account and makes it if needed.
func (s *Shares) Tenant(name object.Tenant) *inflight.Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.tenants[name]
	if a == nil {
		a = s.Bytes.Child("tenant "+string(name), s.Bytes.Limit()/inFlightDivisor)
		s.tenants[name] = a
	}
	return a
}

// Bytes of connections are counted above a free amount and in steps, so that most calls do not change an account.
const (
	FreeBytes   = 8 << 10  // uncounted bytes of each connection
	countStep   = 16 << 10 // bytes by which the count grows
	OnewayBytes = 1 << 10  // memory of a oneway call without its payload
)

// WaitTimeout bounds the time that a message waits for bytes in the account of its principal.
var WaitTimeout = 10 * time.Second // a variable for tests

// Holding counts the bytes that one connection holds. Only the connection's goroutine may use it.
type Holding struct {
	Account *inflight.Account
	used    int // bytes of messages and buffers
	counted int // bytes acquired from the account
}

// missing returns the number of bytes to acquire from the account for n more bytes.
func (b *Holding) missing(n int) int {
	short := b.used + n - FreeBytes - b.counted
	if short <= 0 {
		return 0
	}
	return (short + countStep - 1) / countStep * countStep
}

// Add counts n bytes. Call it before allocating them. The error is that of the account.
func (b *Holding) Add(n int) error {
	missing := b.missing(n)
	if missing > 0 {
		if err := b.Account.Acquire(missing); err != nil {
			return err
		}
	}
	b.counted += missing
	b.used += n
	return nil
}

// Wait counts n bytes as Add does, and waits for them until ctx is done if the account is full.
func (b *Holding) Wait(ctx context.Context, n int) error {
	missing := b.missing(n)
	if err := b.Account.Wait(ctx, missing); err != nil {
		return err
	}
	b.counted += missing
	b.used += n
	return nil
}

// Detach removes n bytes from the holding. It returns the number of bytes that the caller must release to the account.
func (b *Holding) Detach(n int) int {
	counted := min(n, b.counted)
	b.used -= n
	b.counted -= counted
	return counted
}

// Settle sets the number of used bytes. It reports false if the account has no room for them.
func (b *Holding) Settle(used int) bool {
	b.used = used
	excess := b.counted - max(used-FreeBytes, 0)
	if excess < 0 {
		return b.Add(0) == nil
	}
	if excess >= 4*countStep { // small amounts are kept for the next messages
		b.Account.Release(excess)
		b.counted -= excess
	}
	return true
}

// Release returns all bytes to the account.
func (b *Holding) Release() {
	if b.counted > 0 {
		b.Account.Release(b.counted)
	}
	b.used, b.counted = 0, 0
}

// Transfer releases all bytes and uses another account from now on.
func (b *Holding) Transfer(a *inflight.Account) {
	b.Release()
	b.Account = a
}

// Bounds for discarded buffers. No account counts garbage, and the runtime alone would collect it only when there is as
// much garbage as memory in use. So the host starts a collection when large buffers of CollectAfter bytes were
// discarded.
const (
	LargeBuffer  = 1 << 20
	CollectAfter = 64 << 20
)

// Discard counts a buffer of n bytes that is no longer used. It may start a collection. That is cheap: large buffers
// have no pointers.
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

// Exhausted returns the error of a call that was not executed since an account is full. full is the account's error.
func (s *Shares) Exhausted(full error) error {
	s.Refused.Add(1)
	return object.Errorf(object.CodeExhausted, "limit exceeded: %v; not executed, try again", full)
}

// ResultLost returns the error of a call whose result is dropped since an account is full. full is the account's error.
func (s *Shares) ResultLost(full error) error {
	s.Refused.Add(1)
	return object.Errorf(object.CodeExhausted, "limit exceeded: %v; the call was executed, its result is lost", full)
}

// TooManyConns is the error for a connection of a principal that already has the permitted number.
type TooManyConns struct {
	principal object.Principal
	most      int
	Limit     string // rule of the policy, or a text for the host's limit
}

// Error implements error. The client gets this text.
func (e *TooManyConns) Error() string {
	return fmt.Sprintf("limit exceeded: %d connections of principal %s; close some", e.most, e.principal)
}
