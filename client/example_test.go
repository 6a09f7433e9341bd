package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/hearthhost/hearth/client"
)

// exampleServer runs a Pyro server for one example.
func exampleServer() *server {
	s, err := start("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return s
}

// exampleClient returns a client of the server.
func exampleClient(s *server) *client.Client {
	c, err := client.New(client.Config{Address: s.ln.Addr().String()})
	if err != nil {
		log.Fatal(err)
	}
	return c
}

func Example() {
	s := exampleServer()
	defer s.stop()

	c, err := client.New(client.Config{Address: s.ln.Addr().String()})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	v, err := c.Object("acme.counter").Call(context.Background(), "echo", 41)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v)
	// Output: 41
}

func ExampleObject_CallKw() {
	s := exampleServer()
	defer s.stop()
	c := exampleClient(s)
	defer c.Close()

	v, err := c.Object("acme.counter").CallKw(context.Background(), "keyword", nil, map[string]any{"word": "hello"})
	fmt.Println(v, err)
	// Output: hello <nil>
}

// A batch is one request. The calls after a failed one are not executed.
func ExampleObject_Batch() {
	s := exampleServer()
	defer s.stop()
	c := exampleClient(s)
	defer c.Close()

	batch := c.Object("acme.counter").Batch()
	batch.Add("echo", []any{"a"}, nil).Add("fail", nil, nil).Add("echo", []any{"b"}, nil)
	results, err := batch.Run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(r.Value, r.Err)
	}
	// Output:
	// a <nil>
	// <nil> builtins.ValueError: boom
	// <nil> canceled: an earlier call of the batch failed (the call was not executed)
}

func ExampleObject_Stream() {
	s := exampleServer()
	defer s.stop()
	c := exampleClient(s)
	defer c.Close()

	for item, err := range c.Object("acme.counter").Stream(context.Background(), "numbers") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(item)
	}
	// Output:
	// 1
	// 2
	// 3
}

// A session keeps the state of an object of instance mode "session".
func ExampleClient_Session() {
	s := exampleServer()
	defer s.stop()
	c := exampleClient(s)
	defer c.Close()

	ctx := context.Background()
	session, err := c.Session(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	cart := session.Object("acme.cart")
	if err := cart.Set(ctx, "owner", "alice"); err != nil {
		log.Fatal(err)
	}
	owner, err := cart.Get(ctx, "owner")
	fmt.Println(owner, err)
	// Output: the owner <nil>
}

// A failed call is safe to repeat if it was not executed.
func ExampleCallError() {
	s := exampleServer()
	defer s.stop()
	c := exampleClient(s)
	defer c.Close()

	_, err := c.Object("acme.counter").Call(context.Background(), "hangup")
	var failed *client.CallError
	if errors.As(err, &failed) {
		fmt.Println("executed:", failed.Executed)
	}
	// Output: executed: unknown
}

func ExampleRemoteError() {
	s := exampleServer()
	defer s.stop()
	c := exampleClient(s)
	defer c.Close()

	_, err := c.Object("acme.counter").Call(context.Background(), "fail")
	var remote *client.RemoteError
	if errors.As(err, &remote) {
		fmt.Println(remote.Class)
		fmt.Println(remote.Message())
	}
	// Output:
	// builtins.ValueError
	// boom
}

// A profile holds the address of a host and the credentials of the client.
func ExampleLoadProfile() {
	profile, err := client.LoadProfile("hearth.json")
	if err != nil {
		log.Fatal(err)
	}
	var cfg client.Config
	if err := profile.Apply(&cfg); err != nil {
		log.Fatal(err)
	}
	c, err := client.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
}
