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

// TestLargeMessages raises the size limits of one object, and exceeds its limits and those of another object.
func TestLargeMessages(t *testing.T) {
	const maxBytes = 20 << 20
	addr := start(t, limited("object \"echo\" {\n limits {\n arguments = \"9MiB\"\n result = \"9MiB\"\n }\n}"))
	c := dial(t, addr, client.Config{Serializer: "msgpack", MaxMessageBytes: maxBytes})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // far longer than the test needs
	defer cancel()
	echo := c.Object("acme.echo")
	// Larger values exceed the memory of a worker with the race detector.
	for _, n := range []int{1, 8<<20 - 100, 8<<20 + 100} {
		blob := bytes.Repeat([]byte("Hearth!"), n/7+1)
		got, err := echo.Call(ctx, "echo", blob)
		if b, ok := got.([]byte); err != nil || !ok || !bytes.Equal(b, blob) {
			t.Fatalf("echo of %d bytes returned a %T with other content: %v", n, got, err)
		}
	}
	_, err := c.Object("acme.counter").Call(ctx, "add", make([]byte, 8<<20+100))
	wantRemote(t, err, "", "acme.counter takes at most 8388608; not executed")
	_, err = c.Object("Pyro.Daemon").Call(ctx, "ping", make([]byte, 8<<20+100))
	wantRemote(t, err, "", "limit exceeded: arguments of 83887")
	_, err = echo.Call(ctx, "echo", make([]byte, 9<<20))
	wantRemote(t, err, "Pyro5.errors.MessageTooLargeError", "max=9437184); not executed")
	if got, err := echo.Call(ctx, "echo", 1); err != nil || got != int64(1) {
		t.Errorf("after the limit: %v, %v", got, err)
	}
}

// TestLargeValuesAreKept stores large values in an object while other large values pass through the same buffers. The
// host does not copy them; the stored values do not change.
func TestLargeValuesAreKept(t *testing.T) {
	keeper := dial(t, start(t, everything), client.Config{Serializer: "msgpack"}).Object("acme.keeper")
	text := func(i int) string { return strings.Repeat(string(rune('a'+i)), 200_000+i) }
	for i := range 5 {
		got, err := keeper.Call(t.Context(), "keep", i+1, text(i))
		if err != nil || got != text(i) {
			t.Fatalf("value %d was returned changed: %v", i, err)
		}
	}
	all, err := keeper.Call(t.Context(), "all")
	list, _ := all.([]any)
	if err != nil || len(list) != 5 {
		t.Fatalf("%T, %v", all, err)
	}
	for i, v := range list {
		if v != text(i) {
			t.Errorf("stored value %d changed", i)
		}
	}
}

// TestResultsThatGrow returns a result within the limit that its serializer makes many times longer. The call fails;
// the tenant's worker and its instances keep running.
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
		t.Errorf("a smaller result: %T, %v", got, err)
	}
}

// TestArgumentsThatGrow has an object pass a text to another object, which makes its encoding many times longer. The
// call fails; the tenant's worker and its instances keep running.
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

// TestLargeValuesOfManyCallers sends different large values to one worker from several callers. Some cancel calls, or
// send batches that fail after large values. Each caller receives only its own values.
func TestLargeValuesOfManyCallers(t *testing.T) {
	addr := start(t, everything)
	var wg sync.WaitGroup
	for n := range 4 {
		cfg := client.Config{Serializer: []string{"msgpack", "json"}[n/3], Compress: n == 2, Timeout: time.Minute}
		echo := dial(t, addr, cfg).Object("acme.echo")
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 0))
			for range 15 {
				text := strings.Repeat(fmt.Sprintf("%d-%08x ", n, random.Uint32()), 6_000+random.IntN(30_000))
				pair := []any{text, int64(1)}
				batch := func() *client.Batch {
					return echo.Batch().Add("echo", []any{text}, nil).Add("echo", []any{pair}, nil)
				}
				switch random.IntN(3) {
				case 0:
					ctx, cancel := context.WithCancel(t.Context())
					go cancel()
					if got, err := echo.Call(ctx, "echo", text); err == nil && got != text {
						t.Error("the result of a canceled call is another caller's")
					}
					cancel()
				case 1:
					results, err := batch().Add("nosuch", nil, nil).Run(t.Context())
					if err == nil || results != nil {
						t.Errorf("a batch with a missing method: %v, want an error", results)
					}
					results, err = batch().Run(t.Context())
					if err != nil || results[0].Value != text || !reflect.DeepEqual(results[1].Value, any(pair)) {
						t.Errorf("the results of a batch are another caller's: %v", err)
					}
				}
				list := []any{"small", text, text}
				if got, err := echo.Call(t.Context(), "echo", list); err != nil || !reflect.DeepEqual(got, any(list)) {
					t.Errorf("a result is another caller's: %v", err)
				}
			}
		})
	}
	wg.Wait()
}
