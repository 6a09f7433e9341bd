package policy

// Matches returns the number of times that the rules of a policy were matched.
func Matches(p *Policy) int64 { return p.cache.matches.Load() }

// ListingBytes returns the bytes that Listings count, and the number of cached listings.
func ListingBytes(l *Listings) (bytes, principals int) { return l.size, len(l.known) }

// BoundListings sets the bound on those bytes.
func BoundListings(l *Listings, bytes int) { l.most = bytes }
