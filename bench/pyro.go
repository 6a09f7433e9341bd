package main

import (
	"context"
	_ "embed"
	"fmt"
	"os/exec"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

//go:embed peers/daemon.py
var pyroDaemon string

// python is Debian's interpreter: Debian packages the real Pyro4.
const python = "/usr/bin/python3"

// workID is the id of the object that Hearth and the Pyro daemon serve.
const workID = "bench.work"

// startPyro starts the real Pyro4 daemon.
func startPyro(ctx context.Context, dir string) (*peer, error) {
	version, err := firstLine(ctx, python, "-c",
		"import Pyro4, msgpack, serpent, platform\n"+
			"print('Pyro4', Pyro4.__version__, 'on Python', platform.python_version())")
	if err != nil {
		return nil, skipf("%s cannot import Pyro4, msgpack and serpent: "+
			"install Debian's python3-pyro4, python3-msgpack and python3-serpent", python)
	}
	cmd := exec.Command(python, "-c", pyroDaemon) //nolint:gosec,noctx // ours; stop ends it
	cmd.Env, cmd.Dir = baseEnv(), dir
	p, addr, err := startWithAddress(ctx, "the Pyro4 daemon", cmd)
	if err != nil {
		return nil, err
	}
	return &peer{
		name:    namePyro,
		version: version,
		uri:     "PYRO:" + workID + "@" + addr,
		pid:     p.cmd.Process.Pid,
		stop:    p.stop,
		dial: func(ctx context.Context) (caller, error) {
			return dialPyro(ctx, client.Config{Address: addr, Protocol: wire.Pyro4}, workID)
		},
	}, nil
}

// pyroCaller calls Hearth or the Pyro daemon over one connection. Blobs use a second connection with msgpack, which has
// bytes. Other calls use serpent, the default of Pyro4 clients. Calls ignore their context, because watching it would
// add work that is not the server's. The end of the context of dialPyro closes the connection.
type pyroCaller struct {
	client  *client.Client
	session *client.Session
	object  *client.Object
	dial    func(serializer string) (*pyroCaller, error)
	blobs   *pyroCaller // opened by the first blob; itself if it uses msgpack
	unhook  func() bool
}

// dialPyro opens a connection.
func dialPyro(ctx context.Context, cfg client.Config, id object.ID) (*pyroCaller, error) {
	cfg.MaxConns, cfg.MaxMessageBytes = 1, maxBlob
	c, err := client.New(cfg)
	if err != nil {
		return nil, err
	}
	s, err := c.Session(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	p := &pyroCaller{client: c, session: s, object: s.Object(id), unhook: context.AfterFunc(ctx, func() { c.Close() })}
	p.dial = func(serializer string) (*pyroCaller, error) {
		cfg.Serializer = serializer
		return dialPyro(ctx, cfg, id)
	}
	if cfg.Serializer == blobSerializer {
		p.blobs = p
	}
	return p, nil
}

const blobSerializer = "msgpack"

// call implements caller.
func (p *pyroCaller) call(_ context.Context, w *work) error {
	o := p.object
	if w.blob != nil {
		if p.blobs == nil {
			var err error
			p.blobs, err = p.dial(blobSerializer)
			if err != nil {
				return err
			}
		}
		o = p.blobs.object
	}
	v, err := o.Call(context.Background(), w.method, arguments(w)...)
	if err != nil {
		return err
	}
	return checkValue(w, v)
}

// batch implements caller: Pyro's batches.
func (p *pyroCaller) batch(_ context.Context, w *work, n int) error {
	b := p.object.Batch()
	for range n {
		b.Add(w.method, arguments(w), nil)
	}
	results, err := b.Run(context.Background())
	if err != nil {
		return err
	}
	if len(results) != n {
		return fmt.Errorf("%w: a batch of %d has %d results", errWrong, n, len(results))
	}
	for _, r := range results {
		if r.Err != nil {
			return r.Err
		}
		if err := checkValue(w, r.Value); err != nil {
			return err
		}
	}
	return nil
}

func (p *pyroCaller) close() {
	p.unhook()
	p.client.Close()
	if p.blobs != nil && p.blobs != p {
		p.blobs.close()
	}
}

func arguments(w *work) []any {
	switch {
	case w.method == "add":
		return []any{w.a, w.b}
	case w.blob != nil:
		return []any{w.blob}
	default:
		return []any{w.text}
	}
}

// checkValue checks an answer of any type of the client's codec.
func checkValue(w *work, v any) error {
	switch v := v.(type) {
	case int64:
		if w.method == "add" {
			return w.checkSum(v)
		}
	case string:
		if w.text != "" {
			return w.checkText(v)
		}
	case []byte:
		if w.blob != nil {
			return w.checkBlob(v)
		}
	}
	return fmt.Errorf("%w: %s returned a %T", errWrong, w.name, v)
}
