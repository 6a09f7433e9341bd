//go:build linux

package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	hearth "github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

// hostileStep is one line at the head of a script in testdata/hostile. The lines define calls, in this order, with
// their callers and their expected results:
//
//	-- expect: WANT                              the method attack, called once
//	-- call: WHO [WHERE.]METHOD [ARG]... -> WANT  a call; arguments are JSON without blanks
//	-- stream: the same                          its result is the list of the stream's items, at most 20
//	-- batch: the same                           20 such calls in one batch; the result is that of the last
//	-- beside: the same                          the lines below run meanwhile, and the
//	                                             neighbour is called until it has ended
//	-- beside 9: the same                        9 such calls in parallel, each on a new connection
//	-- hangup: WHO                               closes the connection
//	-- reload:                                   the script changes by a blank line, and is loaded again
//
// WHO is me, alice, bob or packed, which is me with compression; a digit behind it is another connection. The
// argument @N is a list of N empty dicts. WHERE is twin, an
// object of the same script and tenant, or other, one of the same script and another tenant.
// WANT is
//
//	result TEXT    the call returns a value that prints as TEXT
//	result ~"RE"   a value whose text matches RE
//	error ~"RE"    the call, or loading the script for it, fails with such a message
//	either ~"RE"   the one or the other
type hostileStep struct {
	verb, who, where, method string
	args                     []any
	want                     *regexp.Regexp
	fails                    bool // the expected text is an error's
	either                   bool // or of the error
	times                    int  // of a call beside others
}

var stepForm = regexp.MustCompile(`^-- (expect|call|stream|batch|beside|hangup|reload)( \d+)?:(.*)$`)

// parseSteps reads the head of a script.
func parseSteps(text string) (steps []hostileStep, err error) {
	for line := range strings.Lines(text) {
		m := stepForm.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			break
		}
		s := hostileStep{verb: m[1], times: 1}
		if m[2] != "" {
			s.times, _ = strconv.Atoi(m[2][1:])
		}
		what, want, _ := strings.Cut(m[3], " -> ")
		switch f := strings.Fields(what); s.verb {
		case "expect":
			s.verb, s.who, s.method, want = "call", "me", "attack", strings.TrimSpace(m[3])
		case "hangup":
			s.who = strings.Join(f, " ")
		case "reload":
		default:
			if len(f) < 2 {
				return nil, fmt.Errorf("%s: want WHO METHOD", line)
			}
			s.who, s.method = f[0], f[1]
			if where, method, ok := strings.Cut(f[1], "."); ok {
				s.where, s.method = where, method
			}
			for _, a := range f[2:] {
				if n, ok := strings.CutPrefix(a, "@"); ok {
					s.args = append(s.args, emptyDicts(n))
					continue
				}
				var v any
				if err := json.Unmarshal([]byte(a), &v); err != nil {
					return nil, fmt.Errorf("%s: %s: %w", line, a, err)
				}
				s.args = append(s.args, v)
			}
		}
		if s.method != "" {
			if err := s.parseWant(want); err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
		}
		steps = append(steps, s)
	}
	if len(steps) == 0 {
		return nil, errors.New("no expectation on the first line")
	}
	return steps, nil
}

// emptyDicts returns a list of n empty dicts: a small message of much memory.
func emptyDicts(n string) []any {
	size, _ := strconv.Atoi(n)
	list := make([]any, size)
	for i := range list {
		list[i] = map[string]any{}
	}
	return list
}

func (s *hostileStep) parseWant(text string) (err error) {
	kind, what, _ := strings.Cut(text, " ")
	re, isRE := strings.CutPrefix(what, "~")
	switch {
	case kind != "result" && kind != "error" && kind != "either", what == "", kind != "result" && !isRE:
		return fmt.Errorf("%q: want result TEXT, result ~\"RE\", error ~\"RE\" or either ~\"RE\"", text)
	case !isRE:
		re = "^" + regexp.QuoteMeta(what) + "$"
	default:
		if re, err = strconv.Unquote(re); err != nil {
			return err
		}
	}
	s.want, err = regexp.Compile(re)
	s.fails, s.either = kind == "error", kind == "either"
	return err
}

// attack is a script of the corpus at work.
type attack struct {
	t       testing.TB
	h       *liveHost
	uid     int // who runs the host
	clients map[string]*hearth.Client
	script  *hostileScript
	tenant  string
	busy    bool // the machine is: time may end a call before the limit that is meant to

	sessions map[string]*hearth.Session
}

// neighbourEvery is the interval of a neighbour's calls during an attack. Without a pause, the neighbours would take
// most of the machine from the attacks.
const neighbourEvery = 2 * time.Millisecond

// run runs all steps. The first failure is an error of the test and ends the script.
func (a *attack) run() {
	a.sessions = map[string]*hearth.Session{}
	defer func() {
		for _, s := range a.sessions {
			s.Close()
		}
	}()
	// The time limit distinguishes a hang from the end by a limit: the host gives up after 30 s.
	ctx, cancel := context.WithTimeout(a.t.Context(), 2*time.Minute)
	defer cancel()
	beside, over := new(sync.WaitGroup), make(chan struct{})
	for _, s := range a.script.steps {
		if s.verb != "beside" {
			if err := a.take(ctx, s); err != nil {
				a.t.Errorf("%s: %v", a.script.name, err)
				break
			}
			continue
		}
		for range s.times {
			beside.Go(func() {
				one, err := a.dial(ctx, s.who)
				if err == nil {
					defer one.Close()
					err = a.call(ctx, one, s)
				}
				if err != nil {
					a.t.Errorf("%s: %v", a.script.name, err)
				}
			})
		}
	}
	go func() { beside.Wait(); close(over) }()
	tick := time.NewTicker(neighbourEvery)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
			a.neighbour(ctx)
		}
	}
}

// neighbour calls a tenant without an attack.
func (a *attack) neighbour(ctx context.Context) {
	if got, err := a.clients["me"].Object("demo.echo").Call(ctx, "echo", a.script.name); err != nil ||
		got != a.script.name {
		a.t.Errorf("at %s the neighbour answers %v, %v", a.script.name, got, err)
	}
}

func (a *attack) dial(ctx context.Context, who string) (*hearth.Session, error) {
	c := a.clients[strings.TrimRight(who, "0123456789")]
	if c == nil {
		return nil, fmt.Errorf("unknown caller %q", who)
	}
	return c.Session(ctx)
}

// take runs one step.
func (a *attack) take(ctx context.Context, s hostileStep) (err error) {
	switch s.verb {
	case "reload":
		return a.reload(ctx)
	case "hangup":
		if one := a.sessions[s.who]; one != nil {
			one.Close()
		}
		delete(a.sessions, s.who)
		return nil
	}
	one := a.sessions[s.who]
	if one == nil {
		if one, err = a.dial(ctx, s.who); err != nil {
			return err
		}
		a.sessions[s.who] = one
	}
	return a.call(ctx, one, s)
}

// call makes a call and checks its result.
func (a *attack) call(ctx context.Context, one *hearth.Session, s hostileStep) error {
	id := a.tenant + "." + a.script.name
	switch s.where {
	case "twin":
		id += "_twin"
	case "other":
		id = "foreign." + a.script.name
	}
	var got any
	var err error
	switch o := one.Object(object.ID(id)); s.verb {
	case "batch":
		b := o.Batch()
		for range 20 {
			b.Add(s.method, s.args, nil)
		}
		var results []hearth.BatchResult
		if results, err = b.Run(ctx); err == nil {
			for _, r := range results {
				if got, err = r.Value, r.Err; err != nil {
					break
				}
			}
		}
	case "stream":
		items := []any{}
		for v, failed := range o.Stream(ctx, s.method, s.args...) {
			if err = failed; err != nil {
				break
			}
			if items = append(items, v); len(items) == 20 {
				break
			}
		}
		got = items
	default:
		got, err = o.Call(ctx, s.method, s.args...)
	}
	call := fmt.Sprintf("%s: %s.%s%.200v", s.who, id, s.method, s.args)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s hangs", call)
	case err != nil && strings.Contains(err.Error(), "the worker ended"):
		return fmt.Errorf("%s ended its tenant's worker: %w", call, err)
	case err != nil && strings.Contains(err.Error(), "of wall time") &&
		(a.busy || s.fails && strings.Contains(s.want.String(), "limit exceeded")):
		a.t.Logf("%s: time ended it", call) // on a slow machine it is the first limit that is met
	case s.either && err != nil:
		if !s.want.MatchString(err.Error()) {
			return fmt.Errorf("%s fails: %.300v; want like %s", call, err, s.want)
		}
	case s.fails && (err == nil || !s.want.MatchString(err.Error())):
		return fmt.Errorf("%s = %.200v, %.300v; want an error like %s", call, got, err, s.want)
	case !s.fails && (err != nil || !s.want.MatchString(fmt.Sprint(got))):
		return fmt.Errorf("%s = %.200v, %.200v; want %s", call, got, err, s.want)
	}
	return nil
}

// reload changes the script, and waits until the change is served.
func (a *attack) reload(ctx context.Context) error {
	f, err := os.OpenFile(filepath.Join(a.h.dir, "scripts", a.tenant, a.script.name+".lua"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, a.h.bin, "reload", "--socket", filepath.Join(a.h.dir, "state", "admin.sock"))
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if a.uid != os.Getuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.uid)}
	}
	// Others in the corpus are refused, and mean to be.
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "not everything is served") ||
		strings.Contains(string(out), a.script.name+":") {
		return fmt.Errorf("hearth reload: %w\n%s", err, out)
	}
	return nil
}
