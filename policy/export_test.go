package policy

// ForgetCrossing takes crosses_tenants from every permit of a policy that has loaded, so
// that Prove has something to find.
func ForgetCrossing(p *Policy) {
	for _, subjects := range p.subjects {
		for _, s := range subjects {
			for _, list := range s.permits {
				for _, r := range list {
					r.crosses = false
				}
			}
		}
	}
}
