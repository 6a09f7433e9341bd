// Package policy reads policy.hcl and answers the two questions that everything else
// asks of it: who is this peer, and may this caller call that method of that object.
//
// A [Policy] is immutable: deciding is a function of it and the question alone. It
// denies by default. Reading is strict: a name that the file's language does not have, a
// reference to something that is not declared, or a pattern that can match nothing is an
// error, and all errors of a file are reported at once.
//
// The host's own objects, whose ids begin with object.HostPrefix, are not its business;
// asked about them, it denies.
package policy
