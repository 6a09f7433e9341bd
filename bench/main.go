// Command bench compares Hearth, with all its protections on, with its peers: the Pyro4 daemon, functions of Redis, a
// bare gRPC server and a bare plugin of go-plugin. All do the same work in one run and take turns. `make bench-peers`
// runs it.
//
// It is a tool for developers of Hearth and not part of the hearth binary.
//
// work.go defines the calls and their correct answers, peer.go the subjects. hearth.go, pyro.go, redis.go, grpc.go and
// goplugin.go start one subject each. load.go, lean.go and pyclient.go make the load, cputime.go reads its cost,
// plan.go alternates between the subjects, compare.go and scale.go define the rows, table.go and plot.go print the
// results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs the program and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	err := func() error {
		if len(args) == 1 && args[0] == "serve-grpc" {
			return serveGRPC(in, out)
		}
		if len(args) == 1 && args[0] == "serve-plugin" {
			return servePlugin()
		}
		if len(args) == 2 && args[0] == leanCommand {
			return generate(ctx, args[1], in, out)
		}
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		return comparison(ctx, args, out, errs)
	}()
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 2
	case err != nil:
		fmt.Fprintln(errs, "bench:", err)
		return 1
	default:
		return 0
	}
}

// comparison reads the flags, measures and reports.
func comparison(ctx context.Context, args []string, out, errs io.Writer) error {
	fl := flag.NewFlagSet("bench", flag.ContinueOnError)
	fl.SetOutput(errs)
	var (
		binary = fl.String("hearth", "build/hearth", "the `binary` to measure")
		small  = fl.Bool("quick", false, "a run of some seconds, whose figures mean nothing")
		rounds = fl.Int("rounds", 0, "how many `rounds`; 0 means 5, or 1 with -quick")
		each   = fl.Duration("each", 0, "how long a subject is measured in a round; 0 means 700ms, or 50ms with -quick")
		only   = fl.String("only", "",
			"a regular `expression`: rows whose load and work, as \"50 connections, add\", it matches")
		page = fl.String("doc", "", "a Markdown `page` whose table to rewrite")
		plot = fl.String("svg", "", "a `file` to write a plot to")
	)
	if err := fl.Parse(args); err != nil {
		return err
	}
	if fl.NArg() > 0 {
		return fmt.Errorf("%q: the command takes flags only", fl.Arg(0))
	}
	if *rounds < 0 || *rounds > 100 || *each < 0 || *each > time.Minute {
		return errors.New("-rounds is at most 100, -each at most 1m")
	}
	path, err := absolute(*binary)
	if err != nil {
		return err
	}
	cfg, m, began := full(path), thisMachine(), time.Now()
	if *small {
		cfg = quick(path)
	}
	if *rounds > 0 {
		cfg.rounds = *rounds
	}
	if *each > 0 {
		cfg.each = *each
	}
	if *only != "" {
		cfg.only, err = regexp.Compile(*only)
		if err != nil {
			return fmt.Errorf("-only: %w", err)
		}
	}
	b, err := measureAll(ctx, cfg, errs)
	if b == nil {
		return err
	}
	command := "make bench-peers"
	if *small || *rounds > 0 || *each > 0 || *only != "" {
		command = strings.Join(append([]string{"build/bench"}, args...), " ")
	}
	text := b.table(began, m, command)
	fmt.Fprintln(out, text)
	if err != nil {
		return fmt.Errorf("the run is incomplete, nothing was written: %w", err)
	}
	b.logf("it took %s", time.Since(began).Round(time.Second))
	for _, s := range b.skips {
		b.logf("!! WAS NOT MEASURED: %s", s)
	}
	if *page != "" {
		if err := rewrite(*page, text); err != nil {
			return fmt.Errorf("writing the figures: %w", err)
		}
	}
	if *plot != "" {
		if err := os.WriteFile(*plot, []byte(b.plot(began, m)), 0o644); err != nil { //nolint:gosec // for all to see
			return fmt.Errorf("writing the plot: %w", err)
		}
	}
	return nil
}
