// Package audit writes the decision log: one line of JSON per decision, written before the host acts on it. A hash
// chain over the lines makes changed, inserted and removed lines visible.
//
// A line's hash is SHA-256 over the hash of the previous line (32 bytes) and the line up to, not including,
// `,"hash":`. The first line of a file is an "open" record with the hash that the file continues from. The chain has no
// key: an attacker who can rewrite the rest of the log can forge it. To protect against the host's own user, store the
// head elsewhere. The host logs it at every start, rotation and stop.
//
// A [Round] holds the records of several decisions for one write. The log writes the rounds that arrive during a write
// together. A failed write leaves nothing of them in the file, and each of their calls is refused.
//
// Old files are removed. Before that, their evidence moves to the kept file, and the log records its SHA-256: see
// package evidence. Package trail reads and verifies logs.
//
// The log has no arguments, results, keys or secrets: [Record] has no field for them.
package audit
