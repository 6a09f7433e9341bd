// Command misbehave is a hostile plugin for tests of the host. The name of its executable or a method selects the
// attack.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/plugins/sdk"
)

type imp struct{}

func (imp) Echo(v any) any              { return v }
func (imp) Crash()                      { syscall.Exit(3) }
func (imp) Hang()                       { select {} }
func (imp) Panic()                      { panic("on purpose") }
func (imp) Huge() []byte                { return bytes.Repeat([]byte("x"), 32<<20) }
func (imp) Fail() error                 { return errors.New("no luck") }
func (imp) Raise() error                { return sdk.Raise("KeyError", "gone") }
func (imp) Env() []string               { return syscall.Environ() }
func (imp) Pid() int                    { return syscall.Getpid() }
func (imp) Who(ctx context.Context) any { return string(sdk.CallerOf(ctx).Principal) }

func (imp) Relay(ctx context.Context, id, method string) (any, error) {
	return sdk.Call(ctx, id, method, "relayed")
}

func (imp) Secret(ctx context.Context, name string) (int, error) {
	secret, err := sdk.Secret(ctx, name)
	sdk.Log(ctx, "info", "the secret is "+secret)
	return len(secret), err
}

func (imp) Endless() iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := 0; yield(i, nil); i++ {
		}
	}
}

// Garbage writes to the descriptor of the handshake.
func (imp) Garbage() int {
	n := 0
	for range 1000 {
		w, _ := syscall.Write(1, bytes.Repeat([]byte("1|1|tcp|garbage|"), 100))
		n += w
	}
	return n
}

func (imp) Chatter() {
	for i := range 5000 {
		fmt.Fprintln(os.Stderr, "line", i)
	}
}

// Leak opens descriptors and closes none.
func (imp) Leak() int {
	n := 0
	for ; n < 100000; n++ {
		if _, err := syscall.Dup(2); err != nil {
			break
		}
	}
	return n
}

func say(line string) {
	_, _ = os.Stdout.WriteString(line + "\n")
}

func main() {
	_, name, _ := strings.Cut(os.Args[0], ".")
	switch name {
	case "crashes":
		_, _ = os.Stderr.WriteString("my last words\n")
		syscall.Exit(7)
	case "silent":
		forever()
	case "garbles":
		for {
			say(strings.Repeat("garbage ", 1000))
		}
	case "old":
		say("1|99|unix|/tmp/x|grpc|")
		forever()
	case "elsewhere":
		say("1|1|unix|/var/run/somebody.sock|grpc|" + strings.Repeat("x", 100))
		forever()
	case "netrpc":
		say("1|1|unix|" + socketDir() + "/x|netrpc|")
		forever()
	case "deaf":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	case "preamble":
		say("hello, I am a plugin")
	case "dies-soon":
		time.AfterFunc(50*time.Millisecond, func() { syscall.Exit(9) })
	}
	sdk.Serve(attacks(sdk.New(sdk.PerCall, "Misbehaves.", func() imp { return imp{} }).
		Method("echo", imp.Echo, "").Method("crash", imp.Crash, "").Method("hang", imp.Hang, "").
		Method("panic", imp.Panic, "").Method("huge", imp.Huge, "").Method("fail", imp.Fail, "").
		Method("raise", imp.Raise, "").Method("env", imp.Env, "").Method("pid", imp.Pid, "").Method("who", imp.Who, "").
		Method("relay", imp.Relay, "").Method("secret", imp.Secret, "").Method("endless", imp.Endless,
		"").Method("garbage", imp.Garbage, "").
		Method("chatter", imp.Chatter, "").Method("leak", imp.Leak, "")),
		sdk.New(sdk.PerCall, "", func() control { return control{} }).Named("control").Method("holding",
			control.Holding, "").
			Method("open", control.Open, "").Method("ran", control.Ran, ""),
		queueOf(sdk.Single, "single"), queueOf(sdk.Session, "session"),
		boxOf(sdk.Single, "box"), boxOf(sdk.PerCall, "calls"))
}

func socketDir() string {
	dir, _ := syscall.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	return dir
}

// forever blocks. With a plain select the runtime would report a deadlock.
func forever() {
	for range time.Tick(time.Hour) {
	}
}
