// Package client calls objects of a host, or of any Pyro4 or Pyro5 daemon. A [Client]
// keeps a pool of connections to one address; [Client.Object] names what to call. It
// never repeats a call by itself: a [CallError] says whether the call was executed, as
// far as that can be known, and the caller decides.
//
// Values are those of package codec.
package client
