package policy

// Admin is the admin block: what the host tells of itself beyond its admin socket.
type Admin struct {
	// Address is a loopback address, "127.0.0.1:9766", at which every user of this machine
	// may read the metrics, and do nothing else; "": there is none.
	Address string
	Where   string // of the address, for messages: "policy.hcl:12"
}
