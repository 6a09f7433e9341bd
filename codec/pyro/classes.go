package pyro

import (
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// dataClasses maps Pyro4 names to Pyro5 names of Pyro's classes that are sent as dicts.
var dataClasses = map[string]string{
	"Pyro4.core.URI":               "Pyro5.core.URI",
	"Pyro4.core.Proxy":             "Pyro5.client.Proxy",
	"Pyro4.core.Daemon":            "Pyro5.server.Daemon",
	"Pyro4.util.SerpentSerializer": "Pyro5.util.SerpentSerializer",
	"Pyro4.util.JsonSerializer":    "Pyro5.util.JsonSerializer",
	"Pyro4.util.MarshalSerializer": "Pyro5.util.MarshalSerializer",
	"Pyro4.util.MsgpackSerializer": "Pyro5.util.MsgpackSerializer",
}

var pyro4Names = func() map[string]string {
	m := make(map[string]string, len(dataClasses))
	for four, five := range dataClasses {
		m[five] = four
	}
	return m
}()

// Class returns the client's name of a class that is sent as a dict. Names of Pyro's classes get the module of the
// client's generation, other names are unchanged. known reports whether dicts of the class are accepted as data:
// classes of Pyro in any generation, and of applications. Exceptions of Python and Pyro are not: see
// [Format.Exception].
//
// The wrapper of an exception in a batch is never data: a client would raise the exception in it.
func (f *Format) Class(name string) (translated string, known bool) {
	if !object.ReservedClass(name) {
		return name, name != "" && !endsProgram[name]
	}
	five, four := dataClasses[name], pyro4Names[name]
	switch {
	case five != "" && f.generation == wire.Pyro5:
		return five, true
	case four != "" && f.generation == wire.Pyro4:
		return four, true
	case five != "" || four != "":
		return name, true
	}
	if module, bare, ok := strings.Cut(name, ".errors."); ok && (module == "Pyro4" || module == "Pyro5") {
		return f.generation.Module() + ".errors." + bare, false
	}
	return name, false
}

// endsProgram has the exception classes of Python that end the program which raises them, or escape its
// "except Exception".
var endsProgram = nameSet("BaseException BaseExceptionGroup SystemExit KeyboardInterrupt GeneratorExit")

// State returns how the state of a dict of class, a list of n elements, is converted to the client's generation. Each
// element of the result is a position in the list from 1, 0 for None, or -1 for the integer 0. The result is nil if the
// state remains unchanged. Do not modify it.
//
// Only the state of a proxy differs. Pyro4's has nine elements (…, timeout, key, handshake, retries, serializer),
// Pyro5's has six (…, handshake, serializer). The key is never sent to the other generation.
func (f *Format) State(class string, n int) []int {
	switch {
	case class == "Pyro4.core.Proxy" && f.generation == wire.Pyro5 && n == 9:
		return proxyTo5
	case class == "Pyro5.client.Proxy" && f.generation == wire.Pyro4 && n == 6:
		return proxyTo4
	}
	return nil
}

var (
	proxyTo5 = []int{1, 2, 3, 4, 7, 9}
	proxyTo4 = []int{1, 2, 3, 4, 0, 0, 5, -1, 6}
)
