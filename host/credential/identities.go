package credential

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/issuer"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/watch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/transport/ca"
	"github.com/hearthhost/hearth/transport/enroll"
	"github.com/hearthhost/hearth/transport/keyfile"
	"github.com/hearthhost/hearth/transport/signed"
)

// identities holds the keys and certificates that the policy names, as they were read last. It is immutable.
type identities struct {
	keys   map[string]principalKey         // keys of the HMAC channel by id
	bearer map[string]bearerKey            // bearer keys by id
	legacy []*LegacyKey                    // shared secrets of Pyro4's signatures
	tls    map[string]*transport.ServerTLS // certificates by listener
}

// principalKey is a key and the principal that it authenticates.
type principalKey struct {
	secret    signed.Key
	principal object.Principal
	expires   time.Time // expiry of a token; zero for keys, which do not expire
}

// bearerKey is a bearer key and the principal that it authenticates.
type bearerKey struct {
	sum       [32]byte // SHA-256 of its token
	principal object.Principal
}

// EnrollPrefix is the prefix of the principals of connections that were opened with a token. No policy can declare or
// permit such a principal.
const EnrollPrefix = "enroll:"

// LegacyKey is a shared secret of Pyro4 and the principal that it authenticates.
type LegacyKey struct {
	Secret    string
	Principal object.Principal
}

// Bounds on a shared secret of Pyro4, in bytes.
const (
	minLegacyBytes = 16
	maxLegacyBytes = 1024 // of its file
)

// Store reads the files of identities, and reads them again when they change. If a file cannot be read any more, its
// last good content stays in force. A removed or empty key file removes its keys. All methods but Read are safe for
// concurrent use.
type Store struct {
	policy  *policy.Policy
	log     *slog.Logger
	current atomic.Pointer[identities]
	issuers map[string]*issuer.Issuer // of the policy's tokens, by URL

	mu sync.Mutex // guards the fields below after NewStore; Refresh holds it while it calls Read

	stats      map[string]fs.FileInfo          // status of each file when it was read; nil: the file did not exist
	failed     map[string]string               // errors by file or listener; retried at every Read
	keys       map[string][]keyfile.Key        // keys of both kinds by file
	legacy     map[string]string               // shared secrets by file
	tls        map[string]*transport.ServerTLS // certificates by listener
	denied     map[string]map[string]struct{}  // revoked serial numbers by file
	tokens     map[string]*enroll.Token        // tokens by id
	duplicates []error                         // keys and shared secrets that are in two files
	lastWarned time.Time                       // time of the last warning about certificates that expire
}

// NewStore reads the files that a policy names. before is the store of the policy in force, nil at the start. The error
// joins all failures, except failures of tokens and of files that before reads too. Those are logged, and the last good
// content stays in force: a mistake in one file must not delay a revocation in the new policy.
func NewStore(p *policy.Policy, before *Store, log *slog.Logger) (*Store, error) {
	s := &Store{
		policy: p,
		log:    log,
		stats:  map[string]fs.FileInfo{},
		failed: map[string]string{},
		keys:   map[string][]keyfile.Key{},
		legacy: map[string]string{},
		tls:    map[string]*transport.ServerTLS{},
		denied: map[string]map[string]struct{}{},
	}
	if before != nil {
		before.mu.Lock()
		maps.Copy(s.keys, before.keys)
		maps.Copy(s.legacy, before.legacy)
		maps.Copy(s.tls, before.tls)
		maps.Copy(s.denied, before.denied)
		before.mu.Unlock()
	}
	s.current.Store(&identities{})
	if err := s.openIssuers(before); err != nil {
		return s, err
	}
	_, failures := s.Read()
	return s, joinFailures(failures, log, func(f ReadError) bool {
		return f.name == s.TokenFolder() || before != nil && (f.name == "" || before.reads(f.name))
	})
}

// reads reports whether the store reads a file or the files of a listener. name is that of a readError.
func (s *Store) reads(name string) bool {
	keyFiles := slices.Concat(s.policy.Keys, s.policy.BearerKeys, s.policy.LegacyKeys)
	return slices.ContainsFunc(keyFiles, func(f policy.KeyFile) bool { return f.Path == name }) ||
		slices.ContainsFunc(s.policy.Listeners, func(l policy.Listener) bool {
			return l.TLS != nil && listenerName(l) == name
		})
}

// listenerName returns the name of a listener's files in a readError.
func listenerName(l policy.Listener) string { return "listener " + l.Name }

// ReadError is the error of reading a file, a folder or a listener's files.
type ReadError struct {
	name string // path of a file or folder, listenerName, or "" for a conflict between files
	error
}

func (f ReadError) Unwrap() error { return f.error }

// joinFailures joins the failures that are not minor, and logs the minor ones.
func joinFailures(all []ReadError, log *slog.Logger, minor func(ReadError) bool) error {
	var errs []error
	for _, f := range all {
		if minor(f) {
			log.Error("read credentials: only this file is rejected; its last good content stays in force",
				"err", f.error)
			continue
		}
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}

// tlsFiles returns the files of a listener's tls block.
func tlsFiles(t *policy.TLS) []string {
	return slices.Concat([]string{t.Cert, t.Key}, t.ClientCA, t.Revoked)
}

// pollFiles returns the files to read again, and stores their status. The value is true for a file that has changed,
// and false for one that may have: it was written so recently that another write could have the same time.
func (s *Store) pollFiles() map[string]bool {
	changed := map[string]bool{}
	poll := func(path string) {
		now, _ := os.Stat(path) // nil if it does not exist
		if before, ok := s.stats[path]; !ok || !watch.Same(before, now) {
			s.stats[path], changed[path] = now, true
		} else if now != nil && watch.Fresh(now) {
			changed[path] = false
		}
	}
	for _, f := range slices.Concat(s.policy.Keys, s.policy.BearerKeys, s.policy.LegacyKeys) {
		poll(f.Path)
	}
	if s.policy.Enroll != nil {
		poll(s.TokenFolder()) // its time changes with its files
	}
	for _, l := range s.policy.Listeners {
		if l.TLS != nil {
			for _, path := range tlsFiles(l.TLS) {
				poll(path)
			}
		}
	}
	return changed
}

// reading is one pass over changed files and over files that failed last time. Failures are retried: they may be the
// host's (EMFILE) and may hide a revocation.
type reading struct {
	s        *Store
	changed  map[string]bool // result of pollFiles
	updated  bool            // an identity or an error has changed
	failures []ReadError     // new failures
}

// due reports whether files must be read: the last attempt failed, or one of them may have changed.
func (k *reading) due(name string, files ...string) bool {
	_, failedBefore := k.s.failed[name]
	return failedBefore || slices.ContainsFunc(files, func(path string) bool { _, ok := k.changed[path]; return ok })
}

// record stores the result of reading files. It reports an error that is the same as before only once.
func (k *reading) record(name, where string, err error, files ...string) {
	before, failedBefore := k.s.failed[name]
	changed := slices.ContainsFunc(files, func(path string) bool { return k.changed[path] })
	if err == nil {
		delete(k.s.failed, name)
		k.updated = k.updated || failedBefore || changed
		return
	}
	k.updated = k.updated || changed
	err = fmt.Errorf("%s: %w", where, err)
	k.s.failed[name] = err.Error()
	if changed || before != err.Error() {
		k.failures = append(k.failures, ReadError{name, err})
	}
}

// keyFile reads a key file if it is due. create is the command that creates the file.
func (k *reading) keyFile(f policy.KeyFile, read func(string) ([]keyfile.Key, error), create string) {
	if !k.due(f.Path, f.Path) {
		return
	}
	s := k.s
	keys, err := read(f.Path)
	if errors.Is(err, keyfile.ErrLines) {
		// A malformed file adds no keys, and the keys that were removed from it are revoked.
		s.keys[f.Path] = slices.DeleteFunc(keys, func(k keyfile.Key) bool {
			return !slices.Contains(s.keys[f.Path], k)
		})
	}
	if errors.Is(err, fs.ErrNotExist) && s.policy.Enroll != nil {
		// Enrolment may create the file later.
		s.log.Info("key file does not exist yet; the principal cannot use key authentication",
			"principal", string(f.Principal), "path", f.Path)
		err = nil
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		s.keys[f.Path] = keys
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: create it with %s", err, create)
	}
	k.record(f.Path, f.Where, err, f.Path)
}

// Read reads changed files and files that failed before. It reports whether any identity or error has changed, and
// returns the new failures. Calls must not run at the same time; [Store.Refresh] locks.
func (s *Store) Read() (updated bool, failures []ReadError) {
	k := &reading{s: s}
	k.record("expired tokens", "enrolment", s.expireTokens(time.Now()))
	k.changed = s.pollFiles()
	if len(k.changed) == 0 && len(s.failed) == 0 {
		return false, nil
	}
	for _, f := range s.policy.Keys {
		k.keyFile(f, keyfile.Read, "hearth key new")
	}
	for _, f := range s.policy.BearerKeys {
		k.keyFile(f, keyfile.ReadBearer, "hearth key new --bearer")
	}
	for _, f := range s.policy.LegacyKeys {
		if !k.due(f.Path, f.Path) {
			continue
		}
		secret, err := readLegacy(f.Path)
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errShort) {
			s.legacy[f.Path] = secret
		}
		k.record(f.Path, f.Where, err, f.Path)
	}
	if dir := s.TokenFolder(); k.due(dir, dir) {
		k.record(dir, "enrolment", s.readTokens(), dir)
	}
	for _, l := range s.policy.Listeners {
		if l.TLS == nil || !k.due(listenerName(l), tlsFiles(l.TLS)...) {
			continue
		}
		t, err := s.readTLS(l)
		if t != nil {
			s.tls[l.Name] = t
		}
		k.record(listenerName(l), l.Where, err, tlsFiles(l.TLS)...)
	}
	ids, duplicates := s.compile()
	s.current.Store(ids)
	s.duplicates = duplicates
	if k.updated {
		for _, err := range duplicates {
			k.failures = append(k.failures, ReadError{"", err})
		}
	}
	return k.updated, k.failures
}

// compile makes identities of the contents of all files. A key id that is in two files authenticates no principal.
func (s *Store) compile() (*identities, []error) {
	ids := &identities{keys: map[string]principalKey{}, bearer: map[string]bearerKey{}, tls: maps.Clone(s.tls)}
	var problems []error
	from := map[string]policy.KeyFile{}
	for _, f := range slices.Concat(s.policy.Keys, s.policy.BearerKeys) {
		for _, k := range s.keys[f.Path] {
			if first, found := from[k.ID]; found {
				problems = append(problems, fmt.Errorf("%s: key id %s is in %s and in %s: make a new key for one",
					f.Where, k.ID, first.Path, f.Path))
				delete(ids.keys, k.ID)
				delete(ids.bearer, k.ID)
				continue
			}
			from[k.ID] = f
			if k.Bearer {
				ids.bearer[k.ID] = bearerKey{sum: k.Secret, principal: f.Principal}
				continue
			}
			ids.keys[k.ID] = principalKey{secret: signed.Key(k.Secret), principal: f.Principal}
		}
	}
	for _, t := range s.tokens {
		if secret, err := t.Bytes(); err == nil {
			ids.keys[t.ID] = principalKey{signed.Key(secret), object.Principal(EnrollPrefix + t.ID), t.Expires}
		}
	}
	return ids, append(problems, s.compileLegacy(ids)...)
}

// compileLegacy adds the shared secrets. A secret of two principals authenticates neither.
func (s *Store) compileLegacy(ids *identities) (problems []error) {
	from := map[string]policy.KeyFile{}
	for _, f := range s.policy.LegacyKeys {
		secret := s.legacy[f.Path]
		if secret == "" {
			continue
		}
		if first, found := from[secret]; found && first.Principal != f.Principal {
			problems = append(problems, fmt.Errorf("%s: %s and %s have the same shared secret: replace one",
				f.Where, f.Path, first.Path))
			ids.legacy = slices.DeleteFunc(ids.legacy, func(k *LegacyKey) bool { return k.Secret == secret })
			continue
		}
		from[secret] = f
		ids.legacy = append(ids.legacy, &LegacyKey{secret, f.Principal})
	}
	return problems
}

// errShort is the error for a file without a secret. Operators may empty a file to revoke its secret.
var errShort = fmt.Errorf("a shared secret needs at least %d bytes, which must be random", minLegacyBytes)

// readLegacy reads a shared secret: the bytes of a file without the newline at its end.
func readLegacy(path string) (string, error) {
	b, err := safefile.Read(path, maxLegacyBytes)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if len(secret) < minLegacyBytes {
		return "", fmt.Errorf("%s holds %d bytes: %w", path, len(secret), errShort)
	}
	return secret, nil
}

// readTLS reads the files of a listener's tls block. With an error it returns the readable files and the former content
// of the others, or nil if there is no former content.
func (s *Store) readTLS(l policy.Listener) (*transport.ServerTLS, error) {
	denied := map[string]bool{}
	var problems []error
	for _, path := range l.TLS.Revoked {
		list, err := ca.ReadDenylist(path)
		if err != nil {
			problems = append(problems, err)
			// If a revocation list is malformed, use the union of the old list and the readable lines: rejecting too
			// many is safe.
			list = union(list, s.denied[path])
		}
		s.denied[path] = list
		for serial := range list {
			denied[serial] = true
		}
	}
	t, err := transport.LoadTLS(transport.TLSFiles{
		Cert:     l.TLS.Cert,
		Key:      l.TLS.Key,
		ClientCA: l.TLS.ClientCA,
		Denied:   denied,
		Min12:    l.TLS.MinVersion == "1.2",
		Required: slices.Equal(l.Identify, []string{object.AuthCert}),
	}, s.tls[l.Name])
	return t, errors.Join(append(problems, err)...)
}

// union returns the serial numbers of both lists.
func union(a, b map[string]struct{}) map[string]struct{} {
	out := map[string]struct{}{}
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}

// Key returns a key of the HMAC channel. ok is false for unknown ids and expired tokens.
func (s *Store) Key(id string) (signed.Key, bool) {
	k, ok := s.current.Load().keys[id]
	if ok && !k.expires.IsZero() && time.Now().After(k.expires) {
		return signed.Key{}, false
	}
	return k.secret, ok
}

// TokenFolder returns the folder of the enrolment tokens; see package enroll.
func (s *Store) TokenFolder() string { return TokenFolder(s.policy) }

// TokenFolder returns the folder of the enrolment tokens of a host.
func TokenFolder(p *policy.Policy) string { return filepath.Join(p.State, "enroll") }

// readTokens reads all tokens, if the policy allows enrolment.
func (s *Store) readTokens() error {
	s.tokens = map[string]*enroll.Token{}
	if s.policy.Enroll == nil {
		return nil
	}
	all, err := enroll.List(s.TokenFolder())
	for _, t := range all {
		s.tokens[t.ID] = t
	}
	return err
}

// expireTokens removes the files of expired tokens.
func (s *Store) expireTokens(now time.Time) error {
	var problems []error
	for _, t := range s.tokens {
		removed, err := t.Expire(s.TokenFolder(), now)
		if removed {
			s.log.Info("enrolment token expired", "token", t.ID, "principal", t.Principal, "used", t.Client != "")
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// Principal returns the principal of a peer.
func (s *Store) Principal(peer object.Peer) object.Principal {
	ids := s.current.Load()
	switch peer.Auth {
	case object.AuthHMAC:
		if k, ok := ids.keys[peer.Key]; ok {
			return k.principal
		}
		return object.Anonymous
	case object.AuthBearer:
		if k, ok := ids.bearer[peer.Key]; ok {
			return k.principal
		}
		return object.Anonymous
	case object.AuthOIDC:
		if peer.Claims == nil || !time.Now().Before(peer.Claims.Expires) {
			return object.Anonymous
		}
	}
	return s.policy.Principal(peer)
}

// FindLegacy returns the key that verify accepts, nil if it accepts no key. It calls verify for all keys.
func (s *Store) FindLegacy(verify func(secret []byte) bool) *LegacyKey {
	var found *LegacyKey
	for _, k := range s.current.Load().legacy {
		if verify([]byte(k.Secret)) {
			found = k
		}
	}
	return found
}

// Holds reports whether a shared secret of Pyro4 is still valid.
func (s *Store) Holds(k *LegacyKey) bool {
	return slices.ContainsFunc(s.current.Load().legacy, func(o *LegacyKey) bool { return *o == *k })
}

// Refresh reads changed files, and logs changes, failures and certificates that expire soon.
func (s *Store) Refresh(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, failures := s.Read()
	for _, f := range failures {
		s.log.Error("read identities: the last good content stays in force", "err", f.error)
	}
	if changed || now.Sub(s.lastWarned) > 24*time.Hour {
		s.lastWarned = now
		s.warnExpiry(now)
	}
	if changed {
		ids := s.current.Load()
		s.log.Info("identities were read again", "keys", len(ids.keys)+len(ids.bearer))
	}
}

// TLS returns the certificates of a listener, nil for a listener without TLS.
func (s *Store) TLS(listener string) *transport.ServerTLS { return s.current.Load().tls[listener] }

// Faults returns the files that could not be read, and the conflicts between files.
func (s *Store) Faults() []fault.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []fault.Fault
	for name, msg := range s.failed {
		out = append(out, fault.Fault{Path: name, Err: errors.New(msg)})
	}
	for _, err := range s.duplicates {
		out = append(out, fault.Fault{Err: err})
	}
	return out
}
