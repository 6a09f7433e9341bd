package policy

// Enroll is the enroll block: clients with a token get their key or certificate.
type Enroll struct {
	CA string // absolute path of the folder of the authority that issues certificates; "": keys only
}
