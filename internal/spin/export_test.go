package spin

// MaxSpin bounds one spin.
const MaxSpin = maxSpin
