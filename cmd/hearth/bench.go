package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

// The bounds of a benchmark: it is for measuring, not for wearing a host out.
const (
	maxBenchCallers  = 1024
	maxBenchDuration = 10 * time.Minute
)

// benchFlags are the flags of hearth bench.
type benchFlags struct {
	object   string
	method   string
	args     []string
	callers  int
	duration time.Duration
	json     bool
}

// benched is the result of hearth bench. Times are in milliseconds.
type benched struct {
	Object     object.ID `json:"object"`
	Method     string    `json:"method"`
	Protocol   string    `json:"protocol"`
	Serializer string    `json:"serializer"`
	Callers    int       `json:"callers"`
	Seconds    float64   `json:"seconds"`
	Calls      uint64    `json:"calls"`
	Errors     uint64    `json:"errors"`
	FirstError string    `json:"first_error,omitempty"`
	PerSecond  float64   `json:"calls_per_second"`
	P50        float64   `json:"p50_ms"`
	P90        float64   `json:"p90_ms"`
	P99        float64   `json:"p99_ms"`
}

func newBench(r *remote) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how many calls a second an object answers",
		Long: `Call one method from many callers at once, each on a connection of its own, and report
calls a second, the times below which 50, 90 and 99 of 100 calls were answered (to within
4 %), and how many failed. One call is made first; if it fails, nothing is measured.
Interrupting it ends the run early and reports what was measured.`,
		Example: `  hearth bench
  hearth bench --object acme.counter --method add --arg 1 -c 16 -d 10s --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.bench(cmd.Context(), f, cmd.OutOrStdout())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.object, "object", "demo.echo", "object to call")
	fl.StringVar(&f.method, "method", "echo", "method to call")
	fl.StringArrayVar(&f.args, "arg", nil, `argument, as hearth call takes it; may be repeated (default "hello")`)
	fl.IntVarP(&f.callers, "callers", "c", 64, fmt.Sprintf("callers at once, 1 to %d", maxBenchCallers))
	fl.DurationVarP(&f.duration, "duration", "d", 5*time.Second, fmt.Sprintf("how long, at most %s", maxBenchDuration))
	jsonFlag(cmd, &f.json)
	r.flags(cmd)
	return cmd
}

// check reads and bounds what the command line asks.
func (f *benchFlags) check() (object.ID, []any, error) {
	id, err := objectArgument(f.object)
	if err != nil {
		return "", nil, err
	}
	if err := checkMember("method", f.method); err != nil {
		return "", nil, err
	}
	if f.callers < 1 || f.callers > maxBenchCallers {
		return "", nil, usagef("-c %d: want 1 to %d callers", f.callers, maxBenchCallers)
	}
	if f.duration <= 0 || f.duration > maxBenchDuration {
		return "", nil, usagef("-d %s: want more than 0 and at most %s", f.duration, maxBenchDuration)
	}
	if len(f.args) == 0 {
		return id, []any{"hello"}, nil
	}
	args := make([]any, 0, len(f.args))
	for _, s := range f.args {
		v, err := parseArgument(s)
		if err != nil {
			return "", nil, usagef("--arg: %w", err)
		}
		args = append(args, v)
	}
	return id, args, nil
}

// bench makes the run and reports it.
func (r *remote) bench(ctx context.Context, f benchFlags, out io.Writer) error {
	id, args, err := f.check()
	if err != nil {
		return err
	}
	c, err := r.dial(f.callers)
	if err != nil {
		return err
	}
	defer c.Close()
	o := c.Object(id)
	if err := r.one(ctx, o, f.method, args); err != nil {
		err = r.explain(err)
		if f.object == "demo.echo" {
			return fmt.Errorf("%w\n--object and --method name something that you may call; hearth ls lists it", err)
		}
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, f.duration)
	defer cancel()

	b := benched{Object: id, Method: f.method, Protocol: r.protocol, Serializer: r.serializer, Callers: f.callers}
	// Calls run without a context of their own, which would cost time that is not the
	// host's; those still under way at the end are cut off by closing the client.
	stopCalls := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stopCalls()
	start := time.Now()
	times, failures, first := load(ctx, o, f, args)
	b.Seconds = time.Since(start).Seconds()
	b.Calls, b.Errors = times.n, failures
	if first != nil {
		b.FirstError = r.explain(first).Error()
	}
	b.PerSecond = float64(b.Calls) / b.Seconds
	b.P50, b.P90, b.P99 = ms(times.quantile(0.50)), ms(times.quantile(0.90)), ms(times.quantile(0.99))
	return b.report(out, f.json)
}

// one makes one call within --timeout.
func (r *remote) one(ctx context.Context, o *client.Object, method string, args []any) error {
	ctx, cancel := r.within(ctx)
	defer cancel()
	_, err := o.Call(ctx, method, args...)
	return err
}

// load calls from all callers until ctx is done. A call that is cut off then counts
// neither way. After an error a caller goes on: a host that refuses some calls is a result.
func load(ctx context.Context, o *client.Object, f benchFlags, args []any) (times histogram, failures uint64, first error) {
	var mu sync.Mutex // guards the results
	var wg sync.WaitGroup
	free := context.WithoutCancel(ctx)
	for range f.callers {
		wg.Go(func() {
			var own histogram
			var failed uint64
			var why error
			for ctx.Err() == nil {
				start := time.Now()
				_, err := o.Call(free, f.method, args...)
				if err == nil {
					own.add(time.Since(start))
				} else if ctx.Err() == nil {
					failed++
					if why == nil {
						why = err
					}
					if !isRemote(err) && failed >= maxBenchBroken {
						break // the host is gone: do not spin
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			times.merge(&own)
			failures += failed
			if first == nil {
				first = why
			}
		})
	}
	wg.Wait()
	return times, failures, first
}

// maxBenchBroken is how many calls of one caller may fail before it gives up, if the
// connection is what fails.
const maxBenchBroken = 100

// report prints the result; a run in which no call was answered is a failure.
func (b *benched) report(w io.Writer, asJSON bool) error {
	if asJSON {
		if err := printJSON(w, b); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(w, "%s.%s, %s, %s, %s, %.1f s\n", b.Object, b.Method, b.Protocol, b.Serializer, plural(b.Callers, "caller"), b.Seconds)
		fmt.Fprintf(w, "%.0f calls a second (%d in all, %s)\n", b.PerSecond, b.Calls, plural(b.Errors, "error"))
		fmt.Fprintf(w, "p50 %.2f ms, p90 %.2f ms, p99 %.2f ms\n", b.P50, b.P90, b.P99)
		if b.FirstError != "" {
			fmt.Fprintf(w, "first error: %s\n", inline(b.FirstError))
		}
	}
	if b.Calls == 0 {
		return errors.New("no call was answered")
	}
	return nil
}
