package policy

// Matches returns how often the rules of a policy were matched with a call or an object.
func Matches(p *Policy) int64 { return p.cache.matches.Load() }

// ListingBytes returns how many bytes Listings count, and of how many principals they know.
func ListingBytes(l *Listings) (bytes, principals int) { return l.size, len(l.known) }

// BoundListings sets the bound on those bytes.
func BoundListings(l *Listings, bytes int) { l.most = bytes }
