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

// certificateFaults returns the certificates of a policy that are not valid at a time, and those that end soon. v has
// the chains that are in force; nil: the files are read. Files that cannot be read are the vault's to report.
func CertificateFaults(p *policy.Policy, v *Store, now time.Time) []fault.Fault {
	var out []fault.Fault
	add := func(file, what, then string, cert *x509.Certificate, harmless bool) {
		if text, wrong := dateFault(cert, now); text != "" {
			out = append(out, fault.Fault{Path: file, Err: fmt.Errorf("%s %s: %s", what, text, then), Warning: harmless || !wrong})
		}
	}
	authorities := map[string]bool{}
	for _, l := range p.Listeners {
		if l.TLS == nil {
			continue
		}
		for i, cert := range ownChain(v, &l) {
			if i == 0 {
				add(l.TLS.Cert, fmt.Sprintf("the host's certificate of listener %q", l.Name), "renew it", cert, false)
			} else { // clients may know another way to a root
				add(l.TLS.Cert, fmt.Sprintf("the authority %q in it", cert.Subject.CommonName), "put a newer one there", cert, true)
			}
		}
		for _, file := range l.TLS.ClientCA {
			authorities[file] = true
		}
	}
	for file := range authorities {
		certs, _ := transport.ReadCertificates(file)
		other := slices.ContainsFunc(certs, func(c *x509.Certificate) bool { _, wrong := dateFault(c, now); return !wrong })
		for _, cert := range certs {
			add(file, fmt.Sprintf("the authority %q", cert.Subject.CommonName), "clients with a certificate of it are refused", cert, other)
		}
	}
	if e := p.Enroll; e != nil && e.CA != "" {
		file := filepath.Join(e.CA, ca.CertFile)
		certs, _ := transport.ReadCertificates(file)
		for _, cert := range certs {
			if !authorities[file] {
				add(file, fmt.Sprintf("the authority %q", cert.Subject.CommonName), "certificates that enrolment issues under it are refused", cert, false)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b fault.Fault) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// ownChain returns the host's certificate of a listener with its intermediates; nil if it is not known.
func ownChain(v *Store, l *policy.Listener) []*x509.Certificate {
	if v != nil {
		if t := v.current.Load().tls[l.Name]; t != nil {
			return t.Chain()
		}
		return nil
	}
	chain, _ := transport.ReadCertificates(l.TLS.Cert)
	return chain
}

// dateFault returns what is wrong with the dates of a certificate, "" if nothing is. wrong is false of one that is
// valid yet.
func dateFault(cert *x509.Certificate, now time.Time) (text string, wrong bool) {
	end, begin := cert.NotAfter, cert.NotBefore
	switch {
	case now.After(end):
		return fmt.Sprintf("expired %s ago, on %s", span(now.Sub(end)), end.Format(time.DateOnly)), true
	case now.Before(begin):
		return fmt.Sprintf("is not valid yet, but from %s on, in %s", begin.Format(time.DateOnly), span(begin.Sub(now))), true
	case end.Sub(now) < ca.Soon:
		return fmt.Sprintf("expires in %s, on %s", span(end.Sub(now)), end.Format(time.DateOnly)), false
	}
	return "", false
}

// span is a length of time in days, or in hours if it is short.
func span(d time.Duration) string {
	n, unit := int(d/(24*time.Hour)), "day"
	if n < 2 {
		n, unit = int(d/time.Hour), "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}

// expiries returns when the host's certificate of each listener ends, in the order of the policy.
func (v *Store) Expiries() (listeners []string, ends []time.Time) {
	for i := range v.policy.Listeners {
		l := &v.policy.Listeners[i]
		if chain := ownChain(v, l); l.TLS != nil && chain != nil {
			listeners, ends = append(listeners, l.Name), append(ends, chain[0].NotAfter)
		}
	}
	return listeners, ends
}

// warnExpiry logs certificates that are not valid, or not for long.
func (v *Store) warnExpiry(now time.Time) {
	for _, p := range CertificateFaults(v.policy, v, now) {
		if p.Warning {
			v.log.Warn("certificate", "path", p.Path, "err", p.Err)
		} else {
			v.log.Error("certificate is not valid", "path", p.Path, "err", p.Err)
		}
	}
}
