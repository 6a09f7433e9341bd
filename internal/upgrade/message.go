package upgrade

import "time"

// EnvFD is the environment variable with the number of the child's descriptor of the socket pair. The descriptors
// that the parent passes have the numbers after it.
const EnvFD = "HEARTH_HANDOVER"

// Time limits of the protocol.
const (
	readyTimeout = time.Minute      // from the start of the child until its readyMsg
	stepTimeout  = 10 * time.Second // to send a message, and for a process to exit
)

// handoffMsg is the parent's first message. Descriptors follow in the order of the fields: one for each socket,
// then the lock, the audit log and the passage of connections if they are passed.
type handoffMsg struct {
	Sockets []socketMsg `json:"sockets"`
	Lock    bool        `json:"lock"`
	Audit   bool        `json:"audit"`
	// An older child ignores it, and the descriptor.
	Connections bool          `json:"connections,omitempty"`
	Upgrades    uint64        `json:"upgrades"`         // finished attempts, see [Running]
	Notify      string        `json:"notify,omitempty"` // see [systemd.Environment]
	Watchdog    time.Duration `json:"watchdog,omitempty"`
}

type socketMsg struct {
	Name string `json:"name"`
	Keep bool   `json:"keep"` // see [transport.Socket]
}

// readyMsg is the child's first message: it listens, or it reports Error and exits.
type readyMsg struct {
	Version   string   `json:"version,omitempty"`
	Listeners []string `json:"listeners,omitempty"` // listeners that use a passed socket
	Error     string   `json:"error,omitempty"`
	// Connections: it takes connections of the parent.
	Connections bool `json:"connections,omitempty"`
}

// controlMsg is every later message.
type controlMsg struct {
	Proceed bool `json:"proceed,omitempty"` // parent: stops accepting, the child starts
	Exit    bool `json:"exit,omitempty"`    // child: shuts down, and the parent with it
}
