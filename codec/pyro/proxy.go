package pyro

import (
	"strings"

	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// Names of the class of proxies.
const (
	proxy4 = "Pyro4.core.Proxy"
	proxy5 = "Pyro5.client.Proxy"
)

// uriOf returns the URI of an object at a location, that of the host itself if it is "".
func uriOf(id object.ID, location string) string {
	if location == "" {
		location = object.ThisHost
	}
	return "PYRO:" + string(id) + "@" + location
}

// WriteProxy writes the dict of a proxy of an object of this host to the sink. location is the address that the client
// used, "" for a value that stays inside. The client requests the object's members when it connects.
//
// Source: doc/wire.md "Proxies".
func (f *Format) WriteProxy(to object.Sink, id object.ID, location string) error {
	w := proxyWriter{to: to}
	w.do(to.Begin(object.DictKind, 2))
	w.text("__class__")
	if f.generation == wire.Pyro4 {
		w.text(proxy4)
	} else {
		w.text(proxy5)
	}
	w.text("state")
	n := len(proxyTo5) // of the state in Pyro5
	if f.generation == wire.Pyro4 {
		n = len(proxyTo4)
	}
	w.do(to.Begin(object.TupleKind, n))
	w.text(uriOf(id, location))
	for range 3 { // oneway methods, methods, attributes: the client requests them
		w.do(to.Begin(object.TupleKind, 0))
		w.do(to.End())
	}
	if f.generation == wire.Pyro4 {
		w.do(to.Float(0)) // timeout
		w.do(to.Null())   // key of signatures
	}
	w.text(Hello)
	if f.generation == wire.Pyro4 {
		w.do(to.Int(0)) // retries
	}
	w.do(to.Null()) // serializer: the client's own choice
	w.do(to.End())
	w.do(to.End())
	return w.err
}

// proxyWriter keeps the first error.
type proxyWriter struct {
	to  object.Sink
	err error
}

func (w *proxyWriter) do(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *proxyWriter) text(s string) { w.do(w.to.Text(unsafestr.Bytes(s))) }

// ProxyURI returns the text of a URI in the state of a proxy of a class, for a client that used a location: the address
// of a proxy that stayed inside the host becomes the location. Other texts are unchanged.
func (f *Format) ProxyURI(class, uri, location string) string {
	if class != proxy4 && class != proxy5 || location == "" {
		return uri
	}
	if inside, ok := strings.CutSuffix(uri, "@"+object.ThisHost); ok {
		return inside + "@" + location
	}
	return uri
}
