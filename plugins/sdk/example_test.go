package sdk_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hearthhost/hearth/plugins/sdk"
	"github.com/hearthhost/hearth/plugins/sdk/plugintest"
)

type greeter struct{ greeting string }

func (g *greeter) Hello(name string) string      { return g.greeting + ", " + name + "!" }
func (g *greeter) Greeting() string              { return g.greeting }
func (g *greeter) SetGreeting(text string) error { g.greeting = text; return nil }

// The main function of a plugin passes its objects to [sdk.Serve]. Here plugintest runs them without a host.
func ExampleNew() {
	object := sdk.New(sdk.Single, "Greets.", func() *greeter { return &greeter{greeting: "Hello"} }).
		Method("hello", (*greeter).Hello, "Returns a greeting.", "name").
		Attribute("greeting", (*greeter).Greeting, (*greeter).SetGreeting, "First word of the greeting.")

	p, err := plugintest.Start(object)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	fmt.Println(p.Call(context.Background(), "", "hello", "World"))
	// Output: Hello, World! <nil>
}

type divider struct{}

func (divider) Divide(ctx context.Context, a, b float64) (float64, error) {
	if b == 0 {
		return 0, sdk.Raise("ZeroDivisionError", fmt.Sprintf("%s divides by zero", sdk.CallerOf(ctx).Principal))
	}
	return a / b, nil
}

// The class of an exception decides the exception that a Python client receives.
func ExampleRaise() {
	p, err := plugintest.Start(
		sdk.New(sdk.PerCall, "Divides.", func() divider { return divider{} }).
			Method("divide", divider.Divide, "Returns a/b."))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	_, err = p.Call(context.Background(), "", "divide", 1.0, 0.0)
	var exception *sdk.Exception
	if errors.As(err, &exception) {
		fmt.Println(exception.Class, exception.Args)
	}
	// Output: ZeroDivisionError [tester divides by zero]
}
