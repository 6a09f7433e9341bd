// Package audit keeps the log of decisions: one line of JSON for each, written before the
// host acts on it, chained by hashes so that a line that was changed, inserted or taken
// out shows.
//
// A line's hash is SHA-256 over the hash of the line before it (32 bytes) and the line up
// to, not including, `,"hash":`. The first line of a file is an "open" record that says
// which hash it goes on from. The chain has no key: it shows what was changed by somebody
// who cannot write the whole rest of it anew. Against the host's own user, note the head
// elsewhere; the host's log has it too, at every start, rotation and stop.
//
// Old files are removed. Their evidence is in the kept file then, which the log vouches for by its SHA-256:
// see kept.go.
//
// No argument, result, key or secret is in it: [Record] has no field for them.
package audit
