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

// identities are the keys and certificates that the policy names, as they were read last.
// One is immutable.
type identities struct {
	keys   map[string]ownKey               // of the HMAC channel, by id
	legacy []*LegacyKey                    // of Pyro4's signatures
	tls    map[string]*transport.ServerTLS // by listener
}

// ownKey is a key and whom it proves.
type ownKey struct {
	secret signed.Key
	owner  object.Principal
	until  time.Time // of a token; zero: for ever
}

// enrollPrefix begins the principals of connections that were opened with a token. No
// policy can declare or permit one.
const EnrollPrefix = "enroll:"

// legacyKey is a shared secret of Pyro4 and whom it proves.
type LegacyKey struct {
	Secret    string
	Principal object.Principal
}

// A shared secret of Pyro4 has so many bytes at least, and its file at most.
const (
	minLegacyBytes = 16
	maxLegacyBytes = 1024
)

// vault reads the files of identities, and reads them again when they change. What
// cannot be read any more keeps its last good reading, except a key file that is gone or
// empty: its keys are.
type Store struct {
	policy  *policy.Policy
	log     *slog.Logger
	current atomic.Pointer[identities]

	looking sync.Mutex // guards what follows, once New has read it

	seen   map[string]fs.FileInfo // of every file, when it was read; nil: it was not there
	failed map[string]string      // what could not be read, by file or listener, and why: read at every look
	keys   map[string][]keyfile.Key
	legacy map[string]string
	tls    map[string]*transport.ServerTLS
	denied map[string]map[string]struct{} // by file
	tokens map[string]*enroll.Token       // by file
	double []error                        // keys and shared secrets that are in two files
	warned time.Time                      // of certificates that expire
}

// newVault reads the files that a policy names. before is the vault of the policy in force, nil at
// the start. The error joins all that is wrong, but not what is wrong with a token, nor with a file
// that before names too: its last good reading goes on, as it would without the new policy, so
// that a mistake in one file keeps no revocation in the policy from counting. That is logged.
func NewStore(p *policy.Policy, before *Store, log *slog.Logger) (*Store, error) {
	v := &Store{policy: p, log: log, seen: map[string]fs.FileInfo{}, failed: map[string]string{}, keys: map[string][]keyfile.Key{},
		legacy: map[string]string{}, tls: map[string]*transport.ServerTLS{}, denied: map[string]map[string]struct{}{}}
	if before != nil {
		before.looking.Lock()
		maps.Copy(v.keys, before.keys)
		maps.Copy(v.legacy, before.legacy)
		maps.Copy(v.tls, before.tls)
		maps.Copy(v.denied, before.denied)
		before.looking.Unlock()
	}
	v.current.Store(&identities{})
	_, failures := v.Read()
	return v, serious(failures, log, func(f unread) bool {
		return f.name == v.TokenFolder() || before != nil && (f.name == "" || before.names(f.name))
	})
}

// names reports whether the vault reads something of a name that an [unread] has.
func (v *Store) names(name string) bool {
	return slices.ContainsFunc(slices.Concat(v.policy.Keys, v.policy.LegacyKeys), func(f policy.KeyFile) bool { return f.Path == name }) ||
		slices.ContainsFunc(v.policy.Listeners, func(l policy.Listener) bool { return l.TLS != nil && listenerName(l) == name })
}

// listenerName is the name of a listener's files.
func listenerName(l policy.Listener) string { return "listener " + l.Name }

// unread is the error of something that was read.
type unread struct {
	name string // path of a file or folder, listener, or "" for what is wrong between files
	error
}

func (f unread) Unwrap() error { return f.error }

// serious joins the failures that are not minor, and logs the others.
func serious(all []unread, log *slog.Logger, minor func(unread) bool) error {
	var left []error
	for _, f := range all {
		if minor(f) {
			log.Error("this alone is refused; the last good reading of other files stays in force", "err", f.error)
			continue
		}
		left = append(left, f)
	}
	return errors.Join(left...)
}

// filesOf returns the files of a listener's tls block.
func filesOf(t *policy.TLS) []string {
	return slices.Concat([]string{t.Cert, t.Key}, t.ClientCA, t.Revoked)
}

// changed returns the files that are others than when they were read, as true, and those
// that may be, as false. It remembers what it saw.
func (v *Store) changed() map[string]bool {
	changed := map[string]bool{}
	look := func(path string) {
		now, _ := os.Stat(path) // nil if it is not there
		if before, ok := v.seen[path]; !ok || !watch.Same(before, now) {
			v.seen[path], changed[path] = now, true
		} else if now != nil && watch.Fresh(now) {
			changed[path] = false
		}
	}
	for _, f := range slices.Concat(v.policy.Keys, v.policy.LegacyKeys) {
		look(f.Path)
	}
	if v.policy.Enroll != nil {
		look(v.TokenFolder()) // whose time changes with its files
	}
	for _, l := range v.policy.Listeners {
		if l.TLS != nil {
			for _, path := range filesOf(l.TLS) {
				look(path)
			}
		}
	}
	return changed
}

// reading is one reading of what has changed, and of what could not be read before: what
// failed may have been the host's own trouble, such as a lack of descriptors, and what
// it did not see a revocation.
type reading struct {
	v        *Store
	changed  map[string]bool
	any      bool // something is known now that was not
	failures []unread
}

// due reports whether something is to be read: it failed, or one of its files changed.
func (k *reading) due(name string, files ...string) bool {
	_, again := k.v.failed[name]
	return again || slices.ContainsFunc(files, func(path string) bool { _, ok := k.changed[path]; return ok })
}

// read notes how reading something went. What fails as it did before is told once.
func (k *reading) read(name, where string, err error, files ...string) {
	before, again := k.v.failed[name]
	other := slices.ContainsFunc(files, func(path string) bool { return k.changed[path] })
	if err == nil {
		delete(k.v.failed, name)
		k.any = k.any || again || other
		return
	}
	k.any = k.any || other
	err = fmt.Errorf("%s: %w", where, err)
	k.v.failed[name] = err.Error()
	if other || before != err.Error() {
		k.failures = append(k.failures, unread{name, err})
	}
}

// read reads what has changed, and reports whether anything had and what is wrong.
func (v *Store) Read() (any bool, failures []unread) {
	k := &reading{v: v}
	k.read("expired tokens", "enrolment", v.expireTokens(time.Now()))
	if k.changed = v.changed(); len(k.changed) == 0 && len(v.failed) == 0 {
		return false, nil
	}
	for _, f := range v.policy.Keys {
		if !k.due(f.Path, f.Path) {
			continue
		}
		keys, err := keyfile.Read(f.Path)
		if errors.Is(err, keyfile.ErrLines) {
			// A mistake adds nothing, and keeps nothing that was removed beside it.
			v.keys[f.Path] = slices.DeleteFunc(keys, func(k keyfile.Key) bool { return !slices.Contains(v.keys[f.Path], k) })
		}
		if errors.Is(err, fs.ErrNotExist) && v.policy.Enroll != nil {
			// One may be handed out later.
			v.log.Info("no key yet, so nobody is this principal by one", "principal", string(f.Principal), "path", f.Path)
			err = nil
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			v.keys[f.Path] = keys
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: hearth key new makes one", err)
		}
		k.read(f.Path, f.Where, err, f.Path)
	}
	for _, f := range v.policy.LegacyKeys {
		if !k.due(f.Path, f.Path) {
			continue
		}
		secret, err := readLegacy(f.Path)
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errShort) {
			v.legacy[f.Path] = secret
		}
		k.read(f.Path, f.Where, err, f.Path)
	}
	if dir := v.TokenFolder(); k.due(dir, dir) {
		k.read(dir, "enrolment", v.readTokens(), dir)
	}
	for _, l := range v.policy.Listeners {
		if l.TLS == nil || !k.due(listenerName(l), filesOf(l.TLS)...) {
			continue
		}
		t, err := v.readTLS(l)
		if t != nil {
			v.tls[l.Name] = t
		}
		k.read(listenerName(l), l.Where, err, filesOf(l.TLS)...)
	}
	ids, doubles := v.compile()
	v.current.Store(ids)
	v.double = doubles
	if k.any {
		for _, err := range doubles {
			k.failures = append(k.failures, unread{"", err})
		}
	}
	return k.any, k.failures
}

// compile makes identities of what was read. A key id that stands in two files proves
// nobody.
func (v *Store) compile() (*identities, []error) {
	ids := &identities{keys: map[string]ownKey{}, tls: maps.Clone(v.tls)}
	var problems []error
	from := map[string]policy.KeyFile{}
	for _, f := range v.policy.Keys {
		for _, k := range v.keys[f.Path] {
			if first, taken := from[k.ID]; taken {
				problems = append(problems, fmt.Errorf("%s: key id %s stands in %s and in %s: make a new key for one of them", f.Where, k.ID, first.Path, f.Path))
				delete(ids.keys, k.ID)
				continue
			}
			from[k.ID] = f
			ids.keys[k.ID] = ownKey{secret: signed.Key(k.Secret), owner: f.Principal}
		}
	}
	for _, t := range v.tokens {
		if secret, err := t.Bytes(); err == nil {
			ids.keys[t.ID] = ownKey{signed.Key(secret), object.Principal(EnrollPrefix + t.ID), t.Expires}
		}
	}
	return ids, append(problems, v.compileLegacy(ids)...)
}

// compileLegacy adds the shared secrets. One that two principals have proves neither.
func (v *Store) compileLegacy(ids *identities) (problems []error) {
	from := map[string]policy.KeyFile{}
	for _, f := range v.policy.LegacyKeys {
		secret := v.legacy[f.Path]
		if secret == "" {
			continue
		}
		if first, taken := from[secret]; taken && first.Principal != f.Principal {
			problems = append(problems, fmt.Errorf("%s: the shared secret in %s is that in %s: make a new one for one of them", f.Where, f.Path, first.Path))
			ids.legacy = slices.DeleteFunc(ids.legacy, func(k *LegacyKey) bool { return k.Secret == secret })
			continue
		}
		from[secret] = f
		ids.legacy = append(ids.legacy, &LegacyKey{secret, f.Principal})
	}
	return problems
}

// errShort says that a file holds no secret. To empty it is a way to revoke the one it
// held.
var errShort = fmt.Errorf("a shared secret has %d at least, and cannot be guessed", minLegacyBytes)

// readLegacy reads a shared secret: the bytes of a file, without the line's end.
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

// readTLS reads the files of a listener's tls block. With an error comes what can be read
// of them, the rest as it was; nil the first time.
func (v *Store) readTLS(l policy.Listener) (*transport.ServerTLS, error) {
	denied := map[string]bool{}
	var problems []error
	for _, path := range l.TLS.Revoked {
		list, err := ca.ReadDenylist(path)
		if err != nil {
			problems = append(problems, err)
			// Of a list with a mistake, what it said before and what can be read of it both
			// count: to refuse too many is the safe side.
			list = merged(list, v.denied[path])
		}
		v.denied[path] = list
		for serial := range list {
			denied[serial] = true
		}
	}
	t, err := transport.LoadTLS(transport.TLSFiles{
		Cert: l.TLS.Cert, Key: l.TLS.Key, ClientCA: l.TLS.ClientCA, Denied: denied,
		Min12:    l.TLS.MinVersion == "1.2",
		Required: slices.Equal(l.Identify, []string{object.AuthCert}),
	}, v.tls[l.Name])
	return t, errors.Join(append(problems, err)...)
}

// merged returns the serial numbers of both lists.
func merged(a, b map[string]struct{}) map[string]struct{} {
	out := map[string]struct{}{}
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}

// key returns a key of the HMAC channel.
func (v *Store) Key(id string) (signed.Key, bool) {
	k, ok := v.current.Load().keys[id]
	if ok && !k.until.IsZero() && time.Now().After(k.until) {
		return signed.Key{}, false
	}
	return k.secret, ok
}

// tokenFolder is where enrolment tokens are; see package enroll.
func (v *Store) TokenFolder() string { return TokenFolder(v.policy) }

// TokenFolder returns where the tokens of a host are.
func TokenFolder(p *policy.Policy) string { return filepath.Join(p.State, "enroll") }

// readTokens reads the tokens there are, if the policy allows enrolment.
func (v *Store) readTokens() error {
	v.tokens = map[string]*enroll.Token{}
	if v.policy.Enroll == nil {
		return nil
	}
	all, err := enroll.List(v.TokenFolder())
	for _, t := range all {
		v.tokens[t.ID] = t
	}
	return err
}

// expireTokens removes the files of tokens whose time is over.
func (v *Store) expireTokens(now time.Time) error {
	var problems []error
	for _, t := range v.tokens {
		removed, err := t.Expire(v.TokenFolder(), now)
		if removed {
			v.log.Info("enrolment token expired", "token", t.ID, "principal", t.Principal, "used", t.Client != "")
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// principal says who a peer is.
func (v *Store) Principal(peer object.Peer) object.Principal {
	if peer.Auth != object.AuthHMAC {
		return v.policy.Principal(peer)
	}
	if k, ok := v.current.Load().keys[peer.Key]; ok {
		return k.owner
	}
	return object.Anonymous
}

// legacyKey returns the key with which verify says yes, nil if there is none. It asks for
// all of them.
func (v *Store) FindLegacy(verify func(secret []byte) bool) *LegacyKey {
	var found *LegacyKey
	for _, k := range v.current.Load().legacy {
		if verify([]byte(k.Secret)) {
			found = k
		}
	}
	return found
}

// holds reports whether a shared secret of Pyro4 still counts.
func (v *Store) Holds(k *LegacyKey) bool {
	return slices.ContainsFunc(v.current.Load().legacy, func(o *LegacyKey) bool { return *o == *k })
}

// look reads what has changed and tells of it.
func (v *Store) Refresh(now time.Time) {
	v.looking.Lock()
	defer v.looking.Unlock()
	changed, failures := v.Read()
	for _, f := range failures {
		v.log.Error("identities: the last good reading stays in force", "err", f.error)
	}
	if changed || now.Sub(v.warned) > 24*time.Hour {
		v.warned = now
		v.warnExpiry(now)
	}
	if changed {
		v.log.Info("identities were read again", "keys", len(v.current.Load().keys))
	}
}

// serverTLS returns the certificates of a listener, nil for one without TLS.
func (v *Store) TLS(listener string) *transport.ServerTLS { return v.current.Load().tls[listener] }

// faults returns the files that could not be read, and what is wrong between them.
func (v *Store) Faults() []fault.Fault {
	v.looking.Lock()
	defer v.looking.Unlock()
	var out []fault.Fault
	for name, why := range v.failed {
		out = append(out, fault.Fault{Path: name, Err: errors.New(why)})
	}
	for _, err := range v.double {
		out = append(out, fault.Fault{Err: err})
	}
	return out
}
