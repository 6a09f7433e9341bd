package launch

import "testing"

func FuzzCheckHandshake(f *testing.F) {
	f.Add("1|1|unix|/d/plugin1|grpc|xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
	f.Add("1|1|unix|/d/../e/plugin1|grpc|x")
	f.Fuzz(func(t *testing.T, line string) { _ = checkHandshake(line, "/d") })
}
