// Package credential reads the keys, certificates, tokens and secrets that the policy names, and reads them again when
// their files change.
package credential

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/transport/ca"
)

// Faults returns the current faults of keys, certificates and secrets. A running host keeps its last good
// reading.
func Faults(p *policy.Policy, store *Store, secrets *Secrets, now time.Time) []fault.Fault {
	return slices.Concat(store.Faults(), secrets.Faults(), CertificateFaults(p, store, now))
}

// CertificateFaults returns the certificates of a policy that are not valid at a time, and those that expire soon. s
// has the chains in force; if it is nil, the files are read. Errors of reading are not included: [Store.Faults] returns
// them.
func CertificateFaults(p *policy.Policy, s *Store, now time.Time) []fault.Fault {
	var out []fault.Fault
	add := func(file, subject, advice string, cert *x509.Certificate, harmless bool) {
		if text, invalid := dateFault(cert, now); text != "" {
			out = append(out, fault.Fault{
				Path:    file,
				Err:     fmt.Errorf("%s %s: %s", subject, text, advice),
				Warning: harmless || !invalid,
			})
		}
	}
	authorities := map[string]bool{}
	for _, l := range p.Listeners {
		if l.TLS == nil {
			continue
		}
		for i, cert := range hostChain(s, &l) {
			if i == 0 {
				add(l.TLS.Cert, fmt.Sprintf("the host's certificate of listener %q", l.Name), "renew it", cert, false)
			} else { // clients may have another chain to a root
				add(l.TLS.Cert, fmt.Sprintf("the authority %q in it", cert.Subject.CommonName),
					"put a newer one there", cert, true)
			}
		}
		for _, file := range l.TLS.ClientCA {
			authorities[file] = true
		}
	}
	for file := range authorities {
		certs, _ := transport.ReadCertificates(file)
		// An invalid authority is only a warning if the file has a valid one too.
		anyValid := slices.ContainsFunc(certs, func(c *x509.Certificate) bool {
			_, invalid := dateFault(c, now)
			return !invalid
		})
		for _, cert := range certs {
			add(file, fmt.Sprintf("the authority %q", cert.Subject.CommonName),
				"clients with a certificate of it are refused", cert, anyValid)
		}
	}
	if e := p.Enroll; e != nil && e.CA != "" {
		file := filepath.Join(e.CA, ca.CertFile)
		certs, _ := transport.ReadCertificates(file)
		for _, cert := range certs {
			if !authorities[file] {
				add(file, fmt.Sprintf("the authority %q", cert.Subject.CommonName),
					"certificates that enrolment issues under it are refused", cert, false)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b fault.Fault) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// hostChain returns the host's certificate of a listener with its intermediates, nil if it could not be read.
func hostChain(s *Store, l *policy.Listener) []*x509.Certificate {
	if s != nil {
		if t := s.current.Load().tls[l.Name]; t != nil {
			return t.Chain()
		}
		return nil
	}
	chain, _ := transport.ReadCertificates(l.TLS.Cert)
	return chain
}

// dateFault describes the problem with the dates of a certificate, "" for none. invalid is false for a certificate that
// is still valid and expires soon.
func dateFault(cert *x509.Certificate, now time.Time) (text string, invalid bool) {
	end, begin := cert.NotAfter, cert.NotBefore
	switch {
	case now.After(end):
		return fmt.Sprintf("expired %s ago, on %s", days(now.Sub(end)), end.Format(time.DateOnly)), true
	case now.Before(begin):
		return fmt.Sprintf("is not valid yet: it starts on %s, in %s",
			begin.Format(time.DateOnly), days(begin.Sub(now))), true
	case end.Sub(now) < ca.Soon:
		return fmt.Sprintf("expires in %s, on %s", days(end.Sub(now)), end.Format(time.DateOnly)), false
	}
	return "", false
}

// days formats a duration in days, or in hours if it is shorter than 2 days.
func days(d time.Duration) string {
	n, unit := int(d/(24*time.Hour)), "day"
	if n < 2 {
		n, unit = int(d/time.Hour), "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}

// Expiries returns the listeners with a certificate and the expiry times of the host's certificates, in the order of
// the policy.
func (s *Store) Expiries() (listeners []string, expiries []time.Time) {
	for i := range s.policy.Listeners {
		l := &s.policy.Listeners[i]
		if chain := hostChain(s, l); l.TLS != nil && chain != nil {
			listeners, expiries = append(listeners, l.Name), append(expiries, chain[0].NotAfter)
		}
	}
	return listeners, expiries
}

// warnExpiry logs certificates that are not valid, and those that expire soon.
func (s *Store) warnExpiry(now time.Time) {
	for _, p := range CertificateFaults(s.policy, s, now) {
		if p.Warning {
			s.log.Warn("certificate", "path", p.Path, "err", p.Err)
		} else {
			s.log.Error("certificate is not valid", "path", p.Path, "err", p.Err)
		}
	}
}
