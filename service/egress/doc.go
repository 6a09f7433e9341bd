// Package egress sends HTTP requests for scripts, with credentials that scripts never have.
//
// Only the host runs it. A [Client] takes a block of the policy ([rule.Block]) and a [Request] of a script, and makes
// these checks in order:
//
//  1. The block permits method, host, port, path and headers. The script cannot set a header or a parameter that the
//     block injects.
//  2. The limits of the block: rate, requests at a time, bytes, time.
//  3. The caller's hook records the request ([Client.Do]). Without a record nothing is sent.
//  4. The name is resolved, and every address is checked again when the socket connects. There is no second
//     resolution between check and connect, so an answer of DNS that changes has no effect.
//  5. TLS verifies the policy's name, authorities and pins.
//
// Redirects are returned to the script, unless the block follows them. Then each target passes the same checks, and one
// of another origin gets no credentials. Secrets that occur in a response or an error are replaced by marks: this
// protects against slips of a server that the policy trusts, and not against a server that encodes the secret.
//
// The environment has no effect: no proxy variable is read.
package egress
