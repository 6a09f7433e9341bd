package policy

// Trace is the trace block: where spans of calls go.
type Trace struct {
	Endpoint string // "http://127.0.0.1:4318": an OTLP/HTTP collector on this machine; "": none
	// Traces says of how many traces, told apart by correlation id, one is sent; 1: of all.
	Traces uint64
}
