// Package values adds to a Lua VM the values that Lua 5.1 lacks: null, bytes, big integers, floats, complex numbers,
// dates, proxies, streams, exceptions, and tables that are marked as a list, tuple, set or dict.
//
// [Types] holds the metatables, which all VMs share; its functions are the constructors in the global table hearth.
package values
