package wire

// Protocol is the version of the Pyro protocol. It determines numbers and class names.
type Protocol uint16

// The supported protocols.
const (
	Pyro4 Protocol = 48
	Pyro5 Protocol = 502
)

// Module returns the Python package with the class names of the protocol: "Pyro4" or "Pyro5".
func (p Protocol) Module() string {
	if p == Pyro4 {
		return "Pyro4"
	}
	return "Pyro5"
}
