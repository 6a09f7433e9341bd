package sdk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
	"github.com/hearthhost/hearth/service/store"
)

// server is the plugin's service for the host.
type server struct {
	rpc.UnimplementedPluginServer
	dial func(uint32) (rpc.HostClient, error)

	byName map[string]*Object
	id     string         // set by Describe, before any call
	host   rpc.HostClient // set by Describe; nil without a host

	mu       sync.Mutex // guards the fields below
	singles  map[*Object]*instance
	sessions map[uint64]map[*Object]*instance
	streams  map[uint64]*stream
	last     uint64
	commits  map[string]*sync.RWMutex // by object: held to commit, exclusively for a transaction

	memory memory // of the arguments of running calls
}

// instance is the state of an object, used by one call at a time.
type instance struct {
	mu sync.Mutex
	v  any
}

// stream is an open item stream.
type stream struct {
	mu     sync.Mutex
	next   func() (any, error, bool)
	stop   func()
	cancel context.CancelFunc
	info   *callInfo
	ctx    context.Context //nolint:containedctx // of the source, for its writes
}

func newServer(objects []*Object) (*server, error) {
	s := &server{
		byName:   map[string]*Object{},
		singles:  map[*Object]*instance{},
		sessions: map[uint64]map[*Object]*instance{},
		streams:  map[uint64]*stream{},
		commits:  map[string]*sync.RWMutex{},
	}
	for _, o := range objects {
		if s.byName[o.name] != nil {
			return nil, fmt.Errorf("sdk: two objects are called %q", o.name)
		}
		s.byName[o.name] = o
	}
	return s, nil
}

// Describe returns the objects. It sets the id of the plugin.
func (s *server) Describe(_ context.Context, r *rpc.DescribeRequest) (*rpc.DescribeReply, error) {
	s.id = r.GetId()
	if r.GetHost() != 0 && s.host == nil {
		host, err := s.dial(r.GetHost())
		if err != nil {
			return nil, err
		}
		s.host = host
	}
	out := &rpc.DescribeReply{Supports: []string{string(web.JSON), "once"}}
	for _, o := range s.byName {
		d := &rpc.Object{Name: o.name, Doc: o.doc, Instance: string(o.mode), Types: o.types.encoded()}
		for _, n := range slices.Sorted(maps.Keys(o.members)) {
			m := o.members[n]
			d.Members = append(d.Members, &rpc.Member{
				Name:      n,
				Doc:       m.doc,
				Method:    m.method != nil,
				Oneway:    m.oneway,
				Get:       m.get != nil,
				Set:       m.set != nil,
				Signature: m.signatureOf(),
			})
		}
		out.Objects = append(out.Objects, d)
	}
	return out, nil
}

// object returns the object with an id, nil if the plugin does not have it.
func (s *server) object(id string) *Object {
	if id == s.id {
		return s.byName[""]
	}
	name, ok := strings.CutPrefix(id, s.id+".")
	if !ok {
		return nil
	}
	return s.byName[name]
}

var errNoMember = &object.Error{
	Code:   object.CodeNotFound,
	Reason: object.ReasonMember,
	Msg:    "no such method or attribute",
}

// Call runs one call.
func (s *server) Call(ctx context.Context, r *rpc.CallRequest) (*rpc.CallReply, error) {
	o := s.object(r.GetObject())
	format := formatOf(r)
	if o == nil || format == nil {
		return failure(object.Errorf(object.CodeNotFound, "unknown object")), nil
	}
	args, err := s.memory.decode(format, r)
	if err != nil {
		return failure(err), nil
	}
	defer s.memory.release(args.size)
	// A stream outlives its call, so the end of the call must not end its context.
	info := s.info(o, r)
	live, cancel := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), callKey{}, info))
	unlink := context.AfterFunc(ctx, cancel)
	v, err := s.run(live, ctx.Err, o, r, args)
	unlink()
	if info.reply != nil && err == nil {
		cancel()
		return info.reply, nil
	}
	if seq, ok := v.(sequence); ok && err == nil {
		info.store.exclusive = false // the items run beside calls of the instance
		next, stop := iter.Pull2(iter.Seq2[any, error](seq.all))
		opened := &stream{next: next, stop: stop, cancel: cancel, info: info, ctx: live}
		return &rpc.CallReply{Stream: s.open(opened)}, nil
	}
	cancel()
	return s.reply(format, v, err), nil
}

// info returns the description of a call.
func (s *server) info(o *Object, r *rpc.CallRequest) *callInfo {
	c := r.GetCaller()
	u := &callInfo{
		s:      s,
		object: r.GetObject(),
		caller: Caller{
			Principal: object.Principal(c.GetPrincipal()),
			Tenant:    object.Tenant(c.GetTenant()),
			Peer: object.Peer{
				Auth:    c.GetWay(),
				Channel: c.GetChannel(),
				Addr:    c.GetAddress(),
			},
		},
	}
	u.once = r.GetOnce()
	u.id.Store(r.GetCall())
	u.store.exclusive = o.mode == Single
	copy(u.corr[:], r.GetCorrelation())
	return u
}

// run calls the object's instance. It does not begin a call that ended while it waited for the instance.
func (s *server) run(ctx context.Context, over func() error, o *Object, r *rpc.CallRequest, a arguments) (
	v any, err error,
) {
	in, release := s.instance(o, r.GetConn())
	u := callOf(ctx)
	defer func() { release(u.store.failed()) }()
	if err := over(); err != nil {
		return nil, object.Errorf(object.CodeOf(err),
			"the call ended while it waited for other calls of its object; not executed")
	}
	// Before the next call of the instance, and before the reply, the writes become durable or are dropped.
	defer func() {
		if u.once {
			err = u.answer(ctx, formatOf(r), v, err)
			return
		}
		if err != nil {
			u.store.discard()
		} else if failed := u.flush(ctx); failed != nil {
			v, err = nil, failed
		}
	}()
	if r.GetKind() == rpc.Kind_KIND_BATCH {
		return s.batch(ctx, o, in, r, a.args)
	}
	f, err := o.lookup(r.GetKind(), r.GetMethod())
	if err != nil {
		return nil, err
	}
	args := a.args
	if r.GetKind() != rpc.Kind_KIND_INVOKE && len(args) > 0 {
		args = args[1:] // skip the attribute's name
	}
	v, err = s.protected(ctx, f, in, args, a.kwargs)
	if m, ok := errors.AsType[mismatch](err); ok {
		return nil, refused(r.GetMethod(), m)
	}
	return v, err
}

func (o *Object) lookup(kind rpc.Kind, name string) (*function, error) {
	m := o.members[name]
	if m == nil {
		return nil, errNoMember
	}
	f := m.method
	switch kind {
	case rpc.Kind_KIND_GET:
		f = m.get
	case rpc.Kind_KIND_SET:
		f = m.set
	default:
	}
	if f == nil {
		return nil, errNoMember
	}
	return f, nil
}

// protected calls f and returns a panic as an error.
func (s *server) protected(ctx context.Context, f *function, in any, args []any, kwargs Kwargs) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return f.call(ctx, in, args, kwargs)
}

// panicked prints the stack of a panic and returns the error for the client.
func panicked(p any) error {
	fmt.Fprintf(os.Stderr, "panic: %v\n%s", p, debug.Stack())
	return Raise("RuntimeError", "the object panicked")
}

// batch runs several methods in order. It stops at the first exception.
func (s *server) batch(ctx context.Context, o *Object, in any, r *rpc.CallRequest, calls []any) (any, error) {
	wrong := &object.Error{Code: object.CodeInvalid, Reason: object.ReasonType, Msg: "a batch requires a list of calls"}
	if len(calls) != len(r.GetBatch()) {
		return nil, wrong
	}
	out := []any{}
	for i, name := range r.GetBatch() {
		f, err := o.lookup(rpc.Kind_KIND_INVOKE, name)
		if err != nil {
			return nil, err
		}
		triple := list(calls[i])
		if len(triple) != 3 {
			return nil, wrong
		}
		kwargs, _ := triple[2].(map[string]any)
		mark := callOf(ctx).store.mark()
		v, err := s.protected(ctx, f, in, list(triple[1]), kwargs)
		if _, ok := v.(sequence); ok && err == nil {
			err = Raise("TypeError", "an item stream cannot be opened in a batch")
		}
		if m, ok := errors.AsType[mismatch](err); ok {
			err = Raise("TypeError", name+": "+string(m))
		}
		if err != nil {
			callOf(ctx).store.rollback(mark)
			format := formatOf(r)
			return append(out, Dict{{Key: "__class__", Value: format.BatchWrapper()},
				{Key: "exception", Value: exception(format, err)}}), nil
		}
		out = append(out, plain(v))
	}
	return out, nil
}

func list(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case Tuple:
		return v
	}
	return nil
}

// instance returns the instance for a call and a function that releases it. broken ends the instance: its memory may be
// ahead of its state.
func (s *server) instance(o *Object, conn uint64) (any, func(broken bool)) {
	if o.mode == PerCall {
		v := o.make()
		return v, func(bool) { closeInstance(v) }
	}
	s.mu.Lock()
	held := s.singles
	if o.mode == Session {
		held = s.sessions[conn]
		if held == nil {
			held = map[*Object]*instance{}
			s.sessions[conn] = held
		}
	}
	in := held[o]
	if in == nil {
		in = &instance{}
		held[o] = in
	}
	s.mu.Unlock()
	in.mu.Lock()
	if in.v == nil {
		in.v = o.make()
	}
	return in.v, func(broken bool) {
		defer in.mu.Unlock()
		if broken {
			closeInstance(in.v)
			in.v = nil
		}
	}
}

func (s *server) open(st *stream) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.streams[s.last] = st
	return s.last
}

// Next returns the next item of a stream.
func (s *server) Next(ctx context.Context, r *rpc.NextRequest) (*rpc.CallReply, error) {
	s.mu.Lock()
	st := s.streams[r.GetStream()]
	s.mu.Unlock()
	if st == nil {
		return failure(object.ErrStreamGone), nil
	}
	format := formatOf(r.GetCall())
	if format == nil {
		return failure(object.Errorf(object.CodeInvalid, "unknown serializer")), nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.info.id.Store(r.GetCall().GetCall())
	st.info.store.reset()
	unlink := context.AfterFunc(ctx, st.cancel)
	v, err, ok := st.pull()
	if err != nil {
		st.info.store.discard()
	} else if failed := st.info.flush(st.ctx); failed != nil {
		v, err, ok = nil, failed, true
	}
	unlink()
	if ok && err == nil {
		return s.reply(format, v, nil), nil
	}
	s.drop(r.GetStream())
	st.cancel()
	st.stop()
	if err != nil {
		return s.reply(format, nil, err), nil
	}
	return &rpc.CallReply{End: true}, nil
}

// pull returns the next item. A panic of the source becomes its error.
func (st *stream) pull() (v any, err error, ok bool) { //nolint:revive // in the order of iter.Pull2
	defer func() {
		if p := recover(); p != nil {
			v, err, ok = nil, panicked(p), true
		}
	}()
	return st.next()
}

func (s *server) drop(id uint64) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[id]
	delete(s.streams, id)
	return st
}

// CloseStream ends a stream early.
func (s *server) CloseStream(_ context.Context, r *rpc.CloseStreamRequest) (*rpc.Nothing, error) {
	if st := s.drop(r.GetStream()); st != nil {
		st.cancel()
		st.mu.Lock()
		defer st.mu.Unlock()
		st.stop()
	}
	return &rpc.Nothing{}, nil
}

// EndConn closes the sessions of a connection.
func (s *server) EndConn(_ context.Context, r *rpc.EndConnRequest) (*rpc.Nothing, error) {
	s.mu.Lock()
	held := s.sessions[r.GetConn()]
	delete(s.sessions, r.GetConn())
	s.mu.Unlock()
	for _, in := range held {
		in.mu.Lock()
		closeInstance(in.v)
		in.mu.Unlock()
	}
	return &rpc.Nothing{}, nil
}

// answer commits the writes of a call that is executed at most once, with its reply, which it keeps. The error is that
// of a call without a stored reply.
func (u *callInfo) answer(ctx context.Context, format format, v any, err error) error {
	if _, ok := v.(sequence); ok && err == nil {
		err = object.Errorf(object.CodeInvalid,
			"a call with an idempotency key cannot return an item stream; it was executed in part")
	}
	reply := u.s.reply(format, v, err)
	if err != nil || reply.GetException() {
		u.store.discard()
	}
	if f := reply.GetFailure(); f != nil {
		u.store.discard()
		return &object.Error{Code: object.Code(f.GetCode()), Msg: f.GetMessage(), Class: f.GetClass()}
	}
	a := &rpc.StoreAnswer{
		State:     rpc.AnswerState_ANSWER_STATE_DONE,
		Exception: reply.GetException(),
		Payload:   reply.GetPayload(),
	}
	if len(a.GetPayload()) > store.MaxAnswer {
		a.State, a.Payload = rpc.AnswerState_ANSWER_STATE_DROPPED, nil
	}
	u.store.set(a)
	if err := u.flush(ctx); err != nil {
		return err
	}
	u.reply = reply
	return nil
}

// reply encodes a result or an exception.
func (s *server) reply(format format, v any, err error) *rpc.CallReply {
	var coded *object.Error
	if errors.As(err, &coded) {
		return failure(err)
	}
	if err == nil {
		doc, encErr := encodeValue(format, plain(v))
		if encErr == nil {
			return &rpc.CallReply{Payload: doc}
		}
		if errors.As(encErr, &coded) {
			return failure(encErr)
		}
		err = encErr
	}
	doc, encErr := encodeValue(format, exception(format, err))
	if encErr != nil {
		return failure(encErr)
	}
	return &rpc.CallReply{Payload: doc, Exception: true}
}

// exception returns the exception that an error raises at a client.
func exception(format format, err error) *codec.Exception {
	var raised *Exception
	if !errors.As(err, &raised) {
		raised = &Exception{Class: "RuntimeError", Args: []any{err.Error()}}
	}
	args := make([]any, len(raised.Args))
	for i, a := range raised.Args {
		args[i] = plain(a)
	}
	class, known := format.Exception(raised.Class)
	switch {
	case !known:
		class, _ = format.Exception("RuntimeError")
		args = []any{raised.Error()}
	case strings.HasPrefix(raised.Class, "Unicode"): // some of these classes cannot be created from a message alone
		class, _ = format.Exception("UnicodeError")
	}
	return &codec.Exception{Class: class, Args: args}
}

func failure(err error) *rpc.CallReply {
	var e *object.Error
	if !errors.As(err, &e) {
		e = object.Errorf(object.CodeInternal, "internal error")
	}
	return &rpc.CallReply{Failure: &rpc.Failure{Code: uint32(e.Code), Message: e.Msg, Class: pyro.ErrorClass(e)}}
}
