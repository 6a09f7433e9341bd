package policy

// Listener is one listener block.
type Listener struct {
	Name     string
	Address  string   // "127.0.0.1:7766", "[::1]:7766", "0.0.0.0:7767" or "unix:path", the path absolute
	Identify []string // never empty; of object.AuthPeer and its kin
	Plain    bool     // connections that are neither TLS nor the HMAC channel are taken
	TLS      *TLS     // nil: none
	Where    string   // for messages: "policy.hcl:12"
}

// TLS is a listener's tls block. All paths are absolute.
type TLS struct {
	Cert, Key  string   // PEM files: the host's chain and its private key
	ClientCA   []string // PEM files: who issues clients' certificates; nil: nobody
	Revoked    []string // files of serial numbers that are refused
	MinVersion string   // "1.3" or "1.2"
}
