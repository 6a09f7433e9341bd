package plugintest_test

import (
	"context"
	"fmt"

	"github.com/hearthhost/hearth/plugins/sdk"
	"github.com/hearthhost/hearth/plugins/sdk/plugintest"
)

type account struct{ balance int }

func (a *account) Withdraw(amount int) (int, error) {
	if amount > a.balance {
		return 0, sdk.Raise("ValueError", "insufficient funds")
	}
	a.balance -= amount
	return a.balance, nil
}

// A plugin runs in the process of the test. An exception is an error with a class.
func ExampleStart() {
	p, err := plugintest.Start(
		sdk.New(sdk.Single, "An account.", func() *account { return &account{balance: 10} }).
			Method("withdraw", (*account).Withdraw, "Withdraws an amount."))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	for range 2 {
		balance, err := p.Call(context.Background(), "", "withdraw", 7)
		fmt.Println(balance, err)
	}
	// Output:
	// 3 <nil>
	// <nil> ValueError: insufficient funds
}

type counter struct{}

func (counter) Count(n int) func(yield func(int, error) bool) {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i+1, nil) {
				return
			}
		}
	}
}

// A method that returns an iter.Seq2[T, error] opens an item stream.
func ExamplePlugin_Items() {
	p, err := plugintest.Start(
		sdk.New(sdk.PerCall, "Counts.", func() counter { return counter{} }).
			Named("numbers").
			Method("count", counter.Count, "Counts to n."))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	for item, err := range p.Items(context.Background(), "numbers", "count", 3) {
		fmt.Println(item, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}
