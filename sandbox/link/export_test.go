package link

// MaxSpin is how long to look.
const MaxSpin = maxSpin

// Looking reports whether the next wait begins with looking.
func (s *Spin) Looking() bool { return s.score > 0 }
