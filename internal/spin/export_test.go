package spin

// MaxSpin bounds one spin.
const MaxSpin = maxSpin

// Looking reports whether the next wait begins with a spin.
func (s *Spin) Looking() bool { return s.score > 0 }
