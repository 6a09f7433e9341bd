package host_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
)

// TestLargeMessages lets one object take and give more than others, and hits the bounds of
// it and of a neighbour.
func TestLargeMessages(t *testing.T) {
	const most = 20 << 20
	addr := start(t, limited("object \"echo\" {\n limits {\n arguments = \"9MiB\"\n result = \"9MiB\"\n }\n}"))
	c := dial(t, addr, client.Config{Serializer: "msgpack", MaxMessageBytes: most})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // nothing here waits for its end
	defer cancel()
	echo := c.Object("acme.echo")
	for _, n := range []int{1, 8<<20 - 100, 8<<20 + 100} { // more is too much for a worker with the race detector in it
		blob := bytes.Repeat([]byte("Hearth!"), n/7+1)
		got, err := echo.Call(ctx, "echo", blob)
		if b, ok := got.([]byte); err != nil || !ok || !bytes.Equal(b, blob) {
			t.Fatalf("%d bytes came back as a %T of other content: %v", n, got, err)
		}
	}
	_, err := c.Object("acme.counter").Call(ctx, "add", make([]byte, 8<<20+100))
	wantRemote(t, err, "", "acme.counter takes at most 8388608; not executed")
	_, err = c.Object("Pyro.Daemon").Call(ctx, "ping", make([]byte, 8<<20+100))
	wantRemote(t, err, "", "limit exceeded: arguments of 83887")
	_, err = echo.Call(ctx, "echo", make([]byte, 9<<20))
	wantRemote(t, err, "Pyro5.errors.MessageTooLargeError", "max=9437184); not executed")
	if got, err := echo.Call(ctx, "echo", 1); err != nil || got != int64(1) {
		t.Errorf("afterwards: %v, %v", got, err)
	}
}

// TestLargeValuesStay: an object keeps large values, which are not copied on their way to it
// and back, while others come and go.
func TestLargeValuesStay(t *testing.T) {
	keeper := dial(t, start(t, everything), client.Config{Serializer: "msgpack"}).Object("acme.keeper")
	text := func(i int) string { return strings.Repeat(string(rune('a'+i)), 200_000+i) }
	for i := range 5 {
		got, err := keeper.Call(t.Context(), "keep", i+1, text(i))
		if err != nil || got != text(i) {
			t.Fatalf("value %d came back changed: %v", i, err)
		}
	}
	all, err := keeper.Call(t.Context(), "all")
	list, _ := all.([]any)
	if err != nil || len(list) != 5 {
		t.Fatalf("%T, %v", all, err)
	}
	for i, v := range list {
		if v != text(i) {
			t.Errorf("value %d changed while it was kept", i)
		}
	}
}

// TestResultsThatGrow has a result of allowed size that its serializer makes many times as
// long: that call fails, and the tenant's worker and its instances live on.
func TestResultsThatGrow(t *testing.T) {
	c := dial(t, start(t, everything), client.Config{Serializer: "json", MaxMessageBytes: 64 << 20})
	if _, err := c.Object("acme.counter").Call(t.Context(), "add", 7); err != nil {
		t.Fatal(err)
	}
	_, err := c.Object("acme.echo").Call(t.Context(), "controls", 8<<20)
	wantRemote(t, err, "", "once it is written")
	if got, err := c.Object("acme.counter").Get(t.Context(), "total"); err != nil || got != int64(7) {
		t.Errorf("the counter, afterwards: %v, %v", got, err)
	}
	got, err := c.Object("acme.echo").Call(t.Context(), "controls", 1<<20)
	if text, ok := got.(string); err != nil || !ok || len(text) != 1<<20 || strings.Trim(text, "\x01") != "" {
		t.Errorf("a result that grows less: %T, %v", got, err)
	}
}

// TestArgumentsThatGrow has an object pass on a text that gets many times as long between
// objects: that call fails, and the tenant's worker and its instances live on.
func TestArgumentsThatGrow(t *testing.T) {
	c := dial(t, start(t, everything), client.Config{Serializer: "msgpack"})
	if _, err := c.Object("acme.counter").Call(t.Context(), "add", 7); err != nil {
		t.Fatal(err)
	}
	_, err := c.Object("acme.relay").Call(t.Context(), "add", strings.Repeat("\x01", 7<<20))
	wantRemote(t, err, "", "the arguments take more than")
	if got, err := c.Object("acme.counter").Get(t.Context(), "total"); err != nil || got != int64(7) {
		t.Errorf("the counter, afterwards: %v, %v", got, err)
	}
}

// TestLargeValuesOfManyCallers: callers of one worker, each with bytes of its own, some of whom
// give up amid a call or ask for what cannot be sent behind large values, meet nobody else's.
func TestLargeValuesOfManyCallers(t *testing.T) {
	addr := start(t, everything)
	var all sync.WaitGroup
	for n := range 4 {
		cfg := client.Config{Serializer: []string{"msgpack", "json"}[n/3], Compress: n == 2, Timeout: time.Minute}
		echo := dial(t, addr, cfg).Object("acme.echo")
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 0))
			for range 15 {
				text := strings.Repeat(fmt.Sprintf("%d-%08x ", n, random.Uint32()), 6_000+random.IntN(30_000))
				switch random.IntN(3) {
				case 0:
					ctx, cancel := context.WithCancel(t.Context())
					go cancel()
					if got, err := echo.Call(ctx, "echo", text); err == nil && got != text {
						t.Error("the answer of a call that was given up is somebody else's")
					}
					cancel()
				case 1:
					results, err := echo.Batch().Add("echo", []any{text}, nil).Add("echo", []any{[]any{text, int64(1)}}, nil).Add("nosuch", nil, nil).Run(t.Context())
					if err == nil || results != nil {
						t.Errorf("a batch with a method that is not there: %v", results)
					}
					results, err = echo.Batch().Add("echo", []any{text}, nil).Add("echo", []any{[]any{text, int64(1)}}, nil).Run(t.Context())
					if err != nil || results[0].Value != text || !reflect.DeepEqual(results[1].Value, []any{text, int64(1)}) {
						t.Errorf("the results of a batch are somebody else's: %v", err)
					}
				}
				if got, err := echo.Call(t.Context(), "echo", []any{"small", text, text}); err != nil || !reflect.DeepEqual(got, []any{"small", text, text}) {
					t.Errorf("a result is somebody else's: %v", err)
				}
			}
		})
	}
	all.Wait()
}
